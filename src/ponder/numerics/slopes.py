"""Slopes of a scaling curve: mean over all pairs of points, first to last, and the area under it over log cost.

Source: the mean over pairs is the scaling metric of s1 as in the survey of Zhang et al. 2025, arXiv:2503.24235 (card
63); first to last is the baseline of the released code of ARISE (card 41); the area is ours.
Cost: pairs are quadratic in the points of a curve. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise

from ponder.core.errors import BadInput

__all__ = ["first_to_last_slope", "log_cost_area", "pairwise_slope"]


def pairwise_slope(costs: Sequence[float], values: Sequence[float]) -> float | None:
    """Return the mean of (f(b) - f(a)) / (b - a) over all pairs a < b; None with fewer than two costs.

    A straight line gives its slope.

    Raises:
        BadInput: not as many values as costs, or two equal costs.
    """
    points = sorted(zip(costs, values, strict=True)) if _same_length(costs, values) else []
    if any(low == high for (low, _), (high, _) in pairwise(points)):
        raise BadInput("a slope needs different costs")
    slopes = [(f_b - f_a) / (b - a) for (a, f_a), (b, f_b) in combinations(points, 2)]
    return math.fsum(slopes) / len(slopes) if slopes else None


def first_to_last_slope(costs: Sequence[float], values: Sequence[float]) -> float:
    """Return the gain from the first to the last level per unit of extra cost; 0 where the cost does not grow.

    Raises:
        BadInput: not as many values as costs, or fewer than two.
    """
    if not _same_length(costs, values) or len(costs) < 2:
        raise BadInput("a slope needs at least two levels")
    grown = costs[-1] - costs[0]
    return (values[-1] - values[0]) / grown if grown > 0 else 0.0


def log_cost_area(costs: Sequence[float], values: Sequence[float]) -> float | None:
    """Return the mean height of a curve over the logarithm of its cost (trapezoids), None with fewer than two costs.

    The area is divided by the width, so that it has the unit of the values; curves compare over one range of cost only.

    Args:
        costs: above 0; of equal ones the values are averaged.
        values: as many.

    Raises:
        BadInput: not as many values as costs, or a cost not above 0.
    """
    _same_length(costs, values)
    if not all(cost > 0 for cost in costs):
        raise BadInput("costs must be above 0 to have a logarithm")
    at: dict[float, list[float]] = {}
    for cost, value in zip(costs, values, strict=True):
        at.setdefault(math.log(cost), []).append(value)
    points = [(x, math.fsum(found) / len(found)) for x, found in sorted(at.items())]
    if len(points) < 2:
        return None
    area = math.fsum((b - a) * (f_a + f_b) / 2 for (a, f_a), (b, f_b) in pairwise(points))
    return area / (points[-1][0] - points[0][0])


def _same_length(costs: Sequence[float], values: Sequence[float]) -> bool:
    if len(costs) != len(values):
        raise BadInput(f"{len(costs)} costs need as many values, got {len(values)}")
    return True
