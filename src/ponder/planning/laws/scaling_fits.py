"""Two plain laws of scaling: accuracy along a line in log compute, and coverage along a power law of its logarithm.

Source: the line is the usual picture of sequential scaling (our own fit). Coverage of N samples, c = exp(-a N^-b),
is Brown et al. 2024, arXiv:2407.21787, reconstructed from summaries; the fit is ours (`ponder.numerics.power_laws`).
Differs: the line knows no ceiling and is cut at 0 and 1, so it must not be trusted far beyond its points; the report
says which range it saw. Coverage has the ceiling 1: it describes "at least one of N is right", not a vote.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ponder.core.registry import laws
from ponder.numerics.power_laws import Line, coverage_line, log_line
from ponder.planning.laws.law import Observation, Settings, goodness

__all__ = ["FittedCoverage", "FittedLine", "ParallelScaling", "SequentialScaling"]


@laws("sequential_scaling")
@dataclass(frozen=True, kw_only=True)
class SequentialScaling:
    """accuracy = intercept + slope ln(n): n is compute of one chain (thinking tokens, rounds) or any other."""

    def fit(self, points: Sequence[Observation]) -> FittedLine:
        """Fit the line, points weighing by their questions.

        Raises:
            BadInput: fewer than two different budgets.
        """
        return FittedLine(line=log_line(*_columns(points)), points=tuple(points))


@dataclass(frozen=True, kw_only=True)
class FittedLine:
    """The line, and the points that it was fitted to."""

    line: Line
    points: tuple[Observation, ...]

    def predict(self, n: float, settings: Settings | None = None) -> float:
        """Return the accuracy at budget n > 0, cut to [0, 1]."""
        return min(1.0, max(0.0, self.line.at(math.log(n))))

    def report(self) -> dict[str, Any]:
        """Return intercept, slope, the gain of a doubling and the fit, as JSON values."""
        return {**self.line._asdict(), "gain_of_doubling": self.line.slope * math.log(2), **goodness(self.points, self)}


@laws("parallel_scaling", paper="arXiv:2407.21787", fidelity="reconstructed")
@dataclass(frozen=True, kw_only=True)
class ParallelScaling:
    """coverage = exp(-a n^-b): n is the number of independent samples."""

    def fit(self, points: Sequence[Observation]) -> FittedCoverage:
        """Fit a and b as a weighted line; a coverage of 0 or 1 counts as half a question short of it.

        Raises:
            BadInput: fewer than two different budgets.
        """
        line = coverage_line(*_columns(points))
        return FittedCoverage(a=math.exp(line.intercept), b=-line.slope, points=tuple(points))


@dataclass(frozen=True, kw_only=True)
class FittedCoverage:
    """The power law, and the points that it was fitted to; b below 0 means that coverage falls with n."""

    a: float
    b: float
    points: tuple[Observation, ...]

    def predict(self, n: float, settings: Settings | None = None) -> float:
        """Return the coverage at n > 0 samples, in [0, 1]."""
        return math.exp(-math.exp(min(700.0, math.log(self.a) - self.b * math.log(n))))

    def report(self) -> dict[str, Any]:
        """Return a, b and the fit, as JSON values."""
        return {"a": self.a, "b": self.b, **goodness(self.points, self)}


def _columns(points: Sequence[Observation]) -> tuple[list[float], list[float], list[float]]:
    return [p.n for p in points], [p.accuracy for p in points], [float(p.questions) for p in points]
