"""How well tokens are spent: value per cost, thinking given up too early, tokens past the first right solution.

Source: eta, underthinking, outcome and process efficiency as in the survey of Zhang et al. 2025, arXiv:2503.24235
(card 63, section B); E3 = A^2 / T of Plan-and-Budget, arXiv:2505.16122 (card 60).
Cost: one pass. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ponder.core.errors import BadInput

__all__ = [
    "Spent",
    "e3",
    "efficiency",
    "outcome_efficiency",
    "process_efficiency",
    "underthinking",
]


class Spent(NamedTuple):
    """The tokens of one answer.

    Attributes:
        total: all of them, > 0.
        until_right: up to the end of the first right thought or solution; None where there is none.
        distinct: of solutions that differ from each other; None where that is not known.
        right: whether the final answer is.
    """

    total: float
    until_right: float | None = None
    distinct: float | None = None
    right: bool = False


def efficiency(values: Sequence[float], costs: Sequence[float]) -> float | None:
    """Return eta, the mean over tasks of value / cost; None without tasks.

    Raises:
        BadInput: not as many costs as values, or a cost not above 0.
    """
    if len(values) != len(costs) or not all(cost > 0 for cost in costs):
        raise BadInput("each value needs a cost above 0")
    return _mean([value / cost for value, cost in zip(values, costs, strict=True)])


def e3(accuracy: float, tokens: float) -> float:
    """Return A^2 / T: unlike A / T it does not prefer cheap and wrong.

    Args:
        accuracy: mean score in percent, in [0, 100].
        tokens: mean completion tokens of a query, thinking included, > 0.

    Raises:
        BadInput: out of range.
    """
    if not 0 <= accuracy <= 100 or not tokens > 0:
        raise BadInput(f"need accuracy in percent and tokens above 0, got {accuracy!r} and {tokens!r}")
    return accuracy**2 / tokens


def underthinking(answers: Sequence[Spent]) -> float | None:
    """Return the mean over wrong answers of 1 - until_right / total: a right thought was there and was left.

    A wrong answer without any right thought counts 0. None where no answer is wrong.

    Raises:
        BadInput: tokens that do not fit together.
    """
    _check(answers)
    wrong = [answer for answer in answers if not answer.right]
    return _mean([0.0 if a.until_right is None else 1 - a.until_right / a.total for a in wrong])


def outcome_efficiency(answers: Sequence[Spent]) -> float | None:
    """Return the mean over all answers of until_right / total, 0 where nothing was right; None without answers.

    Raises:
        BadInput: tokens that do not fit together.
    """
    _check(answers)
    return _mean([0.0 if a.until_right is None else a.until_right / a.total for a in answers])


def process_efficiency(answers: Sequence[Spent]) -> float | None:
    """Return the mean of distinct / total over the answers where it is known; None where it is for none.

    Raises:
        BadInput: tokens that do not fit together.
    """
    _check(answers)
    return _mean([a.distinct / a.total for a in answers if a.distinct is not None])


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _check(answers: Sequence[Spent]) -> None:
    for answer in answers:
        parts = [part for part in (answer.until_right, answer.distinct) if part is not None]
        if not answer.total > 0 or not all(0 <= part <= answer.total for part in parts):
            raise BadInput(f"parts must lie within a total above 0, got {answer!r}")
