"""Accuracy against tokens as plain numbers: what the terminal plot and the picture of the report both draw.

Source: our own. The x axis is logarithmic, because a curve over N doubles its cost at each point.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ponder.bench.summary import CurvePoint

__all__ = ["Axis", "Figure", "Series", "Spot", "figures"]


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A point with its interval.

    Attributes:
        x: mean tokens per problem, > 0.
        y, low, high: accuracy and its interval, in [0, 1].
        n: samples.
    """

    x: float
    y: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve, its spots by growing n."""

    label: str
    spots: tuple[Spot, ...]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A logarithmic axis.

    Attributes:
        low, high: ends, 0 < low < high.
        ticks: values to mark, within the ends.
    """

    low: float
    high: float
    ticks: tuple[int, ...]

    def place(self, value: float) -> float:
        """Return where a value lies between the ends: 0 at `low`, 1 at `high`."""
        return math.log(value / self.low) / math.log(self.high / self.low)

    @classmethod
    def around(cls, values: Sequence[float]) -> Axis:
        """Return an axis that holds all `values` (> 0, at least one) with a margin, marked at 1, 2, 5, 10, 20, ..."""
        low, high = min(values) / 1.25, max(values) * 1.25
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [step * 10**power for power in powers if power >= 0 for step in (1, 2, 5)]
        return cls(low=low, high=high, ticks=tuple(tick for tick in ticks if low <= tick <= high))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """The curves of one family."""

    family: str
    series: tuple[Series, ...]

    @property
    def axis(self) -> Axis:
        """The token axis that holds every spot."""
        return Axis.around([spot.x for series in self.series for spot in series.spots])


def figures(points: Sequence[CurvePoint]) -> list[Figure]:
    """Return one figure per family with anything to draw: points that have an accuracy and a cost."""
    spots: dict[str, dict[str, list[Spot]]] = {}
    for point in points:
        if point.accuracy is not None and point.tokens > 0:
            spot = Spot(
                x=point.tokens, y=point.accuracy.value, low=point.accuracy.low, high=point.accuracy.high, n=point.n
            )
            spots.setdefault(point.family, {}).setdefault(point.curve, []).append(spot)
    return [
        Figure(
            family=family,
            series=tuple(Series(label=label, spots=tuple(found)) for label, found in curves.items()),
        )
        for family, curves in spots.items()
    ]
