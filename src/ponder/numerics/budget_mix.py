"""What to give each group of questions when the mean cost is limited: the exact frontier of a multiple-choice knapsack.

Source: our own; groups are merged one by one and dominated mixtures are dropped (Nemhauser & Ullmann 1969, Management
Science 15, 494-505, for the 0/1 case).
Cost: as many steps as there are undominated mixtures, usually far fewer than combinations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ponder.core.errors import BadInput

__all__ = ["Mix", "cheapest_mix", "frontier", "richest_mix"]


class Mix(NamedTuple):
    """One option for each group.

    Attributes:
        cost: weighted sum of the costs.
        value: weighted sum of the values.
        picks: index of the option of each group.
    """

    cost: float
    value: float
    picks: tuple[int, ...]


def frontier(
    values: Sequence[Sequence[float]], costs: Sequence[Sequence[float]], weights: Sequence[float]
) -> list[Mix]:
    """Return all undominated mixtures, cheapest first; of equals, the one with the earlier options.

    Args:
        values: of each option in each group, [group][option]; at least one option each.
        costs: the same shape.
        weights: of each group, >= 0; shares of questions, say.

    Raises:
        BadInput: shapes differ, or a group has no option.
    """
    if not len(values) == len(costs) == len(weights) or any(
        not row or len(row) != len(paid) for row, paid in zip(values, costs, strict=True)
    ):
        raise BadInput("values, costs and weights must have the same groups and options, at least one option each")
    mixes = [Mix(0.0, 0.0, ())]
    for row, paid, weight in zip(values, costs, weights, strict=True):
        options = _undominated(
            [Mix(weight * c, weight * v, (at,)) for at, (v, c) in enumerate(zip(row, paid, strict=True))]
        )
        mixes = _undominated(
            [Mix(m.cost + o.cost, m.value + o.value, (*m.picks, *o.picks)) for m in mixes for o in options]
        )
    return mixes


def richest_mix(mixes: Sequence[Mix], limit: float | None) -> Mix:
    """Return the mixture of greatest value that costs at most `limit` (None: any); where none does, the cheapest."""
    affordable = [mix for mix in mixes if limit is None or mix.cost <= limit * (1 + 1e-12)]
    return affordable[-1] if affordable else mixes[0]


def cheapest_mix(mixes: Sequence[Mix], least: float) -> Mix:
    """Return the cheapest mixture worth at least `least`; where none is, the one of greatest value."""
    return next((mix for mix in mixes if mix.value >= least - 1e-12), mixes[-1])


def _undominated(mixes: list[Mix]) -> list[Mix]:
    kept: list[Mix] = []
    for mix in sorted(mixes, key=lambda mix: (mix.cost, -mix.value, mix.picks)):
        if not kept or mix.value > kept[-1].value:
            kept.append(mix)
    return kept
