"""Lines through measured accuracies, against the logarithm of compute and on the scale of coverage laws; powers of x.

Source: coverage c = exp(-a N^-b), which is a line of ln(-ln c) against ln N, Brown et al. 2024, arXiv:2407.21787
(reconstructed: the form from summaries, the weights and the treatment of 0 and 1 are ours). Powers of a cost, with and
without an offset, are the trade-offs of Sadhukhan et al. 2025, arXiv:2506.05333 (card 54): tokens and key budget that
are best at a cost C, as in 91.7 C^0.80 and 81.8 C^0.25 - 212; the fit is ours.
Differs: a share of 0 or 1 has no place on that scale; it counts as half a question short of it.
Cost: one pass. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ponder.core.errors import BadInput

__all__ = ["Line", "Power", "coverage_line", "fit_line", "fit_offset_power", "fit_power", "log_line"]


class Line(NamedTuple):
    """intercept + slope x."""

    intercept: float
    slope: float

    def at(self, x: float) -> float:
        """Return the value at x."""
        return self.intercept + self.slope * x


class Power(NamedTuple):
    """scale x^exponent + offset."""

    scale: float
    exponent: float
    offset: float = 0.0

    def at(self, x: float) -> float:
        """Return the value at x > 0."""
        return self.scale * math.pow(x, self.exponent) + self.offset

    def of_doubling(self) -> float:
        """Return what a doubling of x multiplies the value with, the offset apart."""
        return math.pow(2.0, self.exponent)


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


def fit_power(x: Sequence[float], y: Sequence[float]) -> Power:
    """Fit y = scale x^exponent, as a line of the logarithms.

    Raises:
        BadInput: a number not above 0, lengths that do not fit, or a single x.
    """
    if not all(value > 0 for value in (*x, *y)):
        raise BadInput("a power law needs numbers above 0")
    line = fit_line([math.log(a) for a in x], [math.log(b) for b in y])
    return Power(math.exp(line.intercept), line.slope)


def fit_offset_power(x: Sequence[float], y: Sequence[float]) -> Power:
    """Fit y = scale x^exponent + offset by least squares, with the exponent in [0.01, 4].

    For a given exponent the others are those of a line; the exponent is sought on a grid that closes in.

    Raises:
        BadInput: x not above 0, lengths that do not fit, or fewer than three different x.
    """
    if not all(value > 0 for value in x) or len(set(x)) < 3:
        raise BadInput("a power law with an offset needs at least three different x above 0")

    def miss(exponent: float) -> float:
        line = fit_line([math.pow(a, exponent) for a in x], y)
        return math.fsum((b - line.at(math.pow(a, exponent))) ** 2 for a, b in zip(x, y, strict=True))

    low, high = _EXPONENTS
    while high - low > 1e-10:
        step = (high - low) / 40
        best = min((low + step * at for at in range(41)), key=miss)
        low, high = max(_EXPONENTS[0], best - step), min(_EXPONENTS[1], best + step)
    exponent = (low + high) / 2
    line = fit_line([math.pow(a, exponent) for a in x], y)
    return Power(line.slope, exponent, line.intercept)


_EXPONENTS = (0.01, 4.0)


def _log(budget: float) -> float:
    if not budget > 0:
        raise BadInput(f"a budget must be above 0, got {budget!r}")
    return math.log(budget)
