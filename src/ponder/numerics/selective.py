"""Two ways of solving a step, chosen by its difficulty: the threshold rule, what it costs and what it wins.

Source: SCALE, arXiv:2512.00466 (card 38), eq. 4: the slow way where the difficulty is above the threshold (strictly).
Differs: reading of scores is strict: one number in [0, 1] and nothing else (a reply with words is asked for again).
Cost: one pass. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from ponder.core.errors import BadInput

__all__ = ["FORCED_LAST", "Way", "modes", "read_score", "steps_outcome"]

# The released code gives the last step this difficulty.
FORCED_LAST = 0.9
_SCORE = re.compile(r"\s*(\d*\.?\d+|\d+\.)\s*")


class Way(NamedTuple):
    """What one way of solving a step does.

    Attributes:
        cost: tokens, >= 0.
        easy, hard: chance in [0, 1] of solving an easy and a hard step.
    """

    cost: float
    easy: float
    hard: float


def modes(difficulties: Sequence[float], threshold: float) -> list[int]:
    """Return 2 (slow) for each difficulty above the threshold, else 1 (fast)."""
    return [2 if d > threshold else 1 for d in difficulties]


def read_score(text: str) -> float | None:
    """Return the number that a reply is, where it is one in [0, 1] and nothing else; else None."""
    match = _SCORE.fullmatch(text)
    if match is None:
        return None
    value = float(match[1])
    return value if value <= 1 else None


def steps_outcome(hard: Sequence[bool], ways: Sequence[int], fast: Way, slow: Way) -> tuple[float, float]:
    """Return the chance that every step is solved and the tokens spent.

    Args:
        hard: for each step whether it is a hard one.
        ways: for each step 1 or 2, as `modes` says.
        fast: what the fast way does.
        slow: what the slow way does.

    Raises:
        BadInput: not as many ways as steps, or a way that is not 1 or 2.
    """
    if len(hard) != len(ways) or not set(ways) <= {1, 2}:
        raise BadInput("each step needs a way, 1 or 2")
    used = [slow if way == 2 else fast for way in ways]
    chance = math.prod(way.hard if is_hard else way.easy for way, is_hard in zip(used, hard, strict=True))
    return chance, math.fsum(way.cost for way in used)
