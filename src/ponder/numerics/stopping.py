"""When to stop sampling for a vote: once it can no longer change, or once its leader is sure enough.

Source: the exact rule is ours (counting); the Bayesian one is adaptive-consistency, Aggarwal et al. 2023,
arXiv:2305.11860, in its Beta form (the two most frequent answers decide).
Answers are as in `ponder.numerics.votes.majority`: None forms no group, equal counts go to the answer seen first.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TypeVar

from ponder.core.errors import ConfigError
from ponder.numerics.votes import best_of, totals

__all__ = ["leader_is_stable", "leader_probability", "vote_is_decided"]

A = TypeVar("A", bound=Hashable)


def vote_is_decided(answers: Sequence[A | None], left: int) -> bool:
    """Return whether `majority` keeps its winner whatever `left` (>= 0) more samples answer.

    Exact in both directions: if it is not decided, there are answers that change the winner.
    """
    if left == 0:
        return True
    counts = list(totals(answers).values())
    leader = best_of(counts)
    if leader is None:
        return False
    # A rival seen before the leader wins by drawing level; a later one, or a new one, needs one vote more.
    lead = counts[leader]
    return (
        all(count + left < lead for count in counts[:leader])
        and all(count + left <= lead for count in counts[leader + 1 :])
        and left <= lead
    )


def leader_is_stable(answers: Sequence[A | None], *, confidence: float = 0.95) -> bool:
    """Return whether the leader would beat the runner-up in the long run, with at least this probability.

    Raises:
        ConfigError: confidence outside (0.5, 1).
    """
    if not 0.5 < confidence < 1:
        raise ConfigError(f"confidence must be in (0.5, 1), got {confidence!r}")
    counts = sorted(totals(answers).values(), reverse=True)
    if not counts:
        return False
    return leader_probability(int(counts[0]), int(counts[1]) if len(counts) > 1 else 0) >= confidence


def leader_probability(lead: int, second: int) -> float:
    """Return P(p > 1/2) for p ~ Beta(lead + 1, second + 1): that the leader stays ahead of the runner-up.

    Both are counts, >= 0; the prior is uniform. For whole counts the Beta tail is a binomial one, which is summed in
    integers: P(Binomial(lead + second + 1, 1/2) <= lead).
    """
    trials = lead + second + 1
    ways = sum(math.comb(trials, heads) for heads in range(lead + 1))
    return ways / (1 << trials)
