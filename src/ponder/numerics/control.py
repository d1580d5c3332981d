"""How well a method keeps to what it was asked to spend: within a range, near a length, steered by a prompt.

Source: the survey of Zhang et al. 2025, arXiv:2503.24235 (card 63, section B, metrics 7, 8 and 10).
Cost: one pass. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ponder.core.errors import BadInput

__all__ = ["LengthDeviation", "control", "is_controllable", "length_deviation"]


class LengthDeviation(NamedTuple):
    """Relative deviations from the wanted lengths: their mean size, and the root of their mean square."""

    mean: float
    rms: float


def control(amounts: Sequence[float], low: float, high: float) -> float | None:
    """Return the share of amounts within [low, high]; None without any.

    Raises:
        BadInput: low above high.
    """
    if not low <= high:
        raise BadInput(f"the range is empty: {low!r} to {high!r}")
    return sum(low <= amount <= high for amount in amounts) / len(amounts) if amounts else None


def length_deviation(lengths: Sequence[float], wanted: Sequence[float]) -> LengthDeviation | None:
    """Return how far lengths are from the wanted ones, relative to these; None without any.

    Raises:
        BadInput: not as many wanted lengths, or one not above 0.
    """
    if len(lengths) != len(wanted) or not all(goal > 0 for goal in wanted):
        raise BadInput("each length needs a wanted one above 0")
    if not lengths:
        return None
    off = [(length - goal) / goal for length, goal in zip(lengths, wanted, strict=True)]
    mean = math.fsum(map(abs, off)) / len(off)
    return LengthDeviation(mean, math.sqrt(math.fsum(part * part for part in off) / len(off)))


def is_controllable(prompts: Sequence[tuple[int, float]], k: int, eps: float) -> bool:
    """Return whether one of the tried prompts shows (k, eps)-controllability of an output.

    Args:
        prompts: length of each in tokens, and the probability of the wanted output under it.
        k: most tokens of a prompt.
        eps: probability of any other output that is allowed, in [0, 1].

    Raises:
        BadInput: eps or a probability outside [0, 1].
    """
    if not all(0 <= chance <= 1 for chance in (eps, *(chance for _, chance in prompts))):
        raise BadInput("eps and probabilities must be in [0, 1]")
    return any(length <= k and chance >= 1 - eps for length, chance in prompts)
