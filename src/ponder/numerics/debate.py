"""What debate does in worlds that can be computed: votes of independent agents, persuasion, and texts read again.

Source: card 09 (arXiv:2505.22960): the binary worlds and the counts are the card's.
Cost: closed forms and a small Markov chain. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from ponder.core.errors import BadInput

__all__ = ["Flips", "debate_accuracy", "flips", "given_right", "reread", "vote_accuracy"]


class Flips(NamedTuple):
    """How often agents changed; a share is None where there was nothing to change.

    Attributes:
        lost, of_right: right to wrong, and how many right ones there were.
        won, of_wrong: wrong to right, and how many wrong ones there were.
    """

    lost: float | None
    of_right: int
    won: float | None
    of_wrong: int


def vote_accuracy(p: float, n: int) -> float:
    """Return the accuracy of a majority of n independent binary answers that are right with chance p; ties count half.

    Raises:
        BadInput: out of range.
    """
    _check(p, n)
    return sum(_half(k, n) * _binomial(n, k, p) for k in range(n + 1))


def debate_accuracy(p: float, agents: int, rounds: int, *, keep: float, win: float) -> float:
    """Return the majority accuracy of agents that persuade each other; unanimity stays.

    Args:
        p: chance that an agent is right at first.
        agents: >= 1.
        rounds: >= 1.
        keep: chance that a right agent stays right in a round.
        win: chance that a wrong one becomes right is win * (share of right agents).

    Raises:
        BadInput: out of range.
    """
    _check(p, agents)
    return sum(
        _binomial(agents, k, p) * value for k, value in enumerate(given_right(agents, rounds, keep=keep, win=win))
    )


def given_right(agents: int, rounds: int, *, keep: float, win: float) -> list[float]:
    """Return the accuracy in the same world for each number of agents that were right in the first round.

    Raises:
        BadInput: out of range.
    """
    if agents < 1 or rounds < 1 or not (0 <= keep <= 1 and 0 <= win <= 1):
        raise BadInput("needs agents >= 1, rounds >= 1, and chances in [0, 1]")
    value = [_half(k, agents) for k in range(agents + 1)]
    for _ in range(rounds - 1):
        value = [
            value[k]
            if k in (0, agents)
            else sum(
                _binomial(k, stay, keep) * _binomial(agents - k, come, win * k / agents) * value[stay + come]
                for stay in range(k + 1)
                for come in range(agents - k + 1)
            )
            for k in range(agents + 1)
        ]
    return value


def reread(agents: int, rounds: int, memory: Literal["markov", "history"]) -> int:
    """Return how many answers are read again over a run, own ones included."""
    later = rounds - 1
    return agents * agents * (later if memory == "markov" else rounds * later // 2)


def flips(rounds: Sequence[Sequence[bool | None]]) -> list[Flips]:
    """Return the changes between each two rounds.

    Args:
        rounds: of one talk or, agents of several talks side by side, of many: whether each answer is right; None where
            it is not known.
    """
    found = []
    for before, after in pairwise(rounds):
        both = [(a, b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
        right, wrong = [b for a, b in both if a], [b for a, b in both if not a]
        found.append(
            Flips(
                None if not right else right.count(False) / len(right),
                len(right),
                None if not wrong else wrong.count(True) / len(wrong),
                len(wrong),
            )
        )
    return found


def _check(p: float, n: int) -> None:
    if not 0 <= p <= 1 or n < 1:
        raise BadInput("needs a chance in [0, 1] and at least one answer")


def _half(k: int, n: int) -> float:
    return 1.0 if 2 * k > n else 0.5 if 2 * k == n else 0.0


def _binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)
