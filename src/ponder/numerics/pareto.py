"""Which points of cost and accuracy no other point beats, and how much of the plane they cover.

Source: Zitzler & Thiele 1998 (hypervolume), for one cost to keep low and one value to keep high.
Cost: n log n. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ponder.core.errors import BadInput

__all__ = ["Outcome", "hypervolume", "pareto_frontier"]


class Outcome(NamedTuple):
    """What was paid and what came of it."""

    cost: float
    value: float


def pareto_frontier(points: Sequence[Outcome]) -> list[int]:
    """Return the indices of the points that no other beats, cheapest first.

    A point is beaten by one that costs no more and is worth no less, and is better in one of both. Of equal points the
    first is kept.

    Raises:
        BadInput: a number that is not finite.
    """
    _check(points)
    order = sorted(range(len(points)), key=lambda at: (points[at].cost, -points[at].value, at))
    kept: list[int] = []
    for at in order:
        if not kept or points[at].value > points[kept[-1]].value:
            kept.append(at)
    return kept


def hypervolume(points: Sequence[Outcome], reference: Outcome) -> float:
    """Return the area that the points dominate up to the reference: cost below its cost, value above its value.

    Points that are not better than the reference in both add nothing. Areas compare under one reference only.

    Raises:
        BadInput: a number that is not finite.
    """
    _check([*points, reference])
    inside = [point for point in points if point.cost < reference.cost and point.value > reference.value]
    frontier = [inside[at] for at in pareto_frontier(inside)]
    ends = [*(point.cost for point in frontier), reference.cost][1:]
    return math.fsum(
        (end - point.cost) * (point.value - reference.value) for point, end in zip(frontier, ends, strict=True)
    )


def _check(points: Sequence[Outcome]) -> None:
    if not all(math.isfinite(number) for point in points for number in point):
        raise BadInput("costs and values must be finite")
