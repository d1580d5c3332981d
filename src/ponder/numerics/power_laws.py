"""Straight lines through measured accuracies: against the logarithm of compute, and on the scale of coverage laws.

Source: coverage c = exp(-a N^-b), which is a line of ln(-ln c) against ln N, Brown et al. 2024, arXiv:2407.21787
(reconstructed: the form from summaries, the weights and the treatment of 0 and 1 are ours).
Differs: a share of 0 or 1 has no place on that scale; it counts as half a question short of it.
Cost: one pass. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ponder.core.errors import BadInput

__all__ = ["Line", "coverage_line", "fit_line", "log_line"]


class Line(NamedTuple):
    """intercept + slope x."""

    intercept: float
    slope: float

    def at(self, x: float) -> float:
        """Return the value at x."""
        return self.intercept + self.slope * x


def fit_line(x: Sequence[float], y: Sequence[float], weights: Sequence[float] | None = None) -> Line:
    """Fit by weighted least squares.

    Args:
        x: at least two different ones.
        y: as many.
        weights: above 0; equal by default.

    Raises:
        BadInput: lengths or weights that do not fit, or a single place.
    """
    weights = [1.0] * len(x) if weights is None else weights
    if not len(x) == len(y) == len(weights) or len(set(x)) < 2:
        raise BadInput("a line needs a y and a weight for each x, and at least two different x")
    if not min(weights) > 0:
        raise BadInput("weights of a line must be above 0")
    total = math.fsum(weights)
    x_mean = math.fsum(w * a for w, a in zip(weights, x, strict=True)) / total
    y_mean = math.fsum(w * b for w, b in zip(weights, y, strict=True)) / total
    spread = math.fsum(w * (a - x_mean) ** 2 for w, a in zip(weights, x, strict=True))
    if not spread > 0:
        raise BadInput("the x of a line are too near each other")
    shared = math.fsum(w * (a - x_mean) * (b - y_mean) for w, a, b in zip(weights, x, y, strict=True))
    slope = shared / spread
    return Line(y_mean - slope * x_mean, slope)


def log_line(budgets: Sequence[float], accuracies: Sequence[float], questions: Sequence[float]) -> Line:
    """Fit accuracy = intercept + slope ln(budget), each point weighing by its questions.

    Raises:
        BadInput: a budget not above 0, or as `fit_line`.
    """
    return fit_line([_log(n) for n in budgets], accuracies, questions)


def coverage_line(budgets: Sequence[float], shares: Sequence[float], questions: Sequence[float]) -> Line:
    """Fit ln(-ln share) = intercept + slope ln(budget): share = exp(-exp(intercept) budget^slope).

    Points weigh by the inverse variance of a measured share on that scale, questions c (ln c)^2 / (1 - c).

    Raises:
        BadInput: a budget not above 0, a share outside [0, 1], or as `fit_line`.
    """
    if not all(0 <= share <= 1 for share in shares):
        raise BadInput("shares must be in [0, 1]")
    inner = [min(1 - 0.5 / (n + 1), max(0.5 / (n + 1), share)) for share, n in zip(shares, questions, strict=True)]
    weights = [n * c * math.log(c) ** 2 / (1 - c) for c, n in zip(inner, questions, strict=True)]
    return fit_line([_log(n) for n in budgets], [math.log(-math.log(c)) for c in inner], weights)


def _log(budget: float) -> float:
    if not budget > 0:
        raise BadInput(f"a budget must be above 0, got {budget!r}")
    return math.log(budget)
