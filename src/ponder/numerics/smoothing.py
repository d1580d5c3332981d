"""LOWESS: a curve through scattered points from straight lines, each fitted to the points near one place.

Source: Cleveland 1979, "Robust locally weighted regression and smoothing scatterplots", as the analysis of verifiers
uses it (Zhou et al. 2025, arXiv:2509.17995, RQ3, card 21).
Differs: nothing is interpolated: every point has a fit of its own. Where a neighbourhood lies at one place its weighted
mean is taken, as statsmodels does; where more than half of the points fit exactly the robust passes end, as in R.
Cost: the square of the number of points, once for each robust pass and once more. Needs: nothing beyond the base
install.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from ponder.core.errors import BadInput

__all__ = ["FRACTION", "lowess"]

FRACTION = 0.6
_EXACT = 1e-9  # residuals below this share of the largest value are rounding
_FLAT = 1e-12  # spread of x, relative to the neighbourhood's width squared, below which no slope can be told


def lowess(x: Sequence[float], y: Sequence[float], *, fraction: float = FRACTION, robust: int = 3) -> list[float]:
    """Return the smoothed value at each x, in the given order.

    Args:
        x: places, in any order; may repeat.
        y: values, as many.
        fraction: share of the points that each line is fitted to, in (0, 1]; at least two points.
        robust: passes, >= 0, that weigh points down by how far they are from the curve before (bisquare at six
            medians of the residuals). With 0 the curve is linear in y.

    Raises:
        BadInput: lengths or settings that do not fit, no points, or values that are not finite.
    """
    n = len(x)
    if not n or len(y) != n or not all(map(math.isfinite, (*x, *y))):
        raise BadInput("a curve needs at least one point, a finite x and a finite y for each")
    if not 0 < fraction <= 1 or robust < 0:
        raise BadInput(f"fraction must be in (0, 1] and robust at least 0, got {fraction!r} and {robust!r}")
    near = min(n, max(2, math.floor(fraction * n + 1e-10)))
    trust = [1.0] * n
    smooth = [_fit(place, x, y, trust, near, own) for place, own in zip(x, y, strict=True)]
    for _ in range(robust):
        residuals = [abs(b - s) for b, s in zip(y, smooth, strict=True)]
        scale = 6 * statistics.median(residuals)
        if not scale > _EXACT * max(map(abs, y)):
            break  # most points lie on the curve
        trust = [_bisquare(residual, scale) for residual in residuals]
        smooth = [_fit(place, x, y, trust, near, own) for place, own in zip(x, y, strict=True)]
    return smooth


def _fit(place: float, x: Sequence[float], y: Sequence[float], trust: Sequence[float], near: int, own: float) -> float:
    """Return the height at `place` of the line through its nearest points; `own` where all have lost their weight."""
    distances = [abs(a - place) for a in x]
    width = sorted(distances)[near - 1]
    weights = [_tricube(d, width) * t for d, t in zip(distances, trust, strict=True)]
    total = math.fsum(weights)
    if not total > 0:
        return own
    x_mean = math.fsum(w * a for w, a in zip(weights, x, strict=True)) / total
    y_mean = math.fsum(w * b for w, b in zip(weights, y, strict=True)) / total
    spread = math.fsum(w * (a - x_mean) ** 2 for w, a in zip(weights, x, strict=True)) / total
    if not spread > _FLAT * width * width:
        return y_mean
    shared = math.fsum(w * (a - x_mean) * (b - y_mean) for w, a, b in zip(weights, x, y, strict=True)) / total
    return y_mean + shared / spread * (place - x_mean)


def _tricube(distance: float, width: float) -> float:
    """Return (1 - (distance / width)^3)^3; where the nearest points share one place, only they count."""
    if not width > 0:
        return float(distance == 0)
    ratio = distance / width
    return (1.0 - ratio * ratio * ratio) ** 3 if ratio < 1 else 0.0


def _bisquare(residual: float, scale: float) -> float:
    """Return (1 - (residual / scale)^2)^2, 0 from the scale on."""
    ratio = residual / scale
    return (1.0 - ratio * ratio) ** 2 if ratio < 1 else 0.0
