"""When a vote may stop early: exactly, or with a stated confidence.

Source: exact rule: our own (closed form, checked against enumeration). Bayesian rule: Aggarwal et al. 2023,
arXiv:2305.11860, the Beta criterion: the posterior of the leader's share against the runner-up's under a uniform
prior.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import comb

__all__ = ["leader_is_stable", "probability_of_lead", "vote_is_decided"]


def vote_is_decided(answers: Sequence[Hashable | None], left: int) -> bool:
    """Return whether no `left` (>= 0) further answers can change the majority (ties go to the answer seen first)."""
    counts = Counter(answer for answer in answers if answer is not None)
    if left == 0:
        return True
    if not counts:
        return False
    order = list(counts)  # first seen first
    leader = max(order, key=lambda answer: (counts[answer], -order.index(answer)))
    for place, rival in enumerate(order):
        # A rival seen earlier wins a tie, one seen later must get ahead.
        reach = counts[rival] + left
        if rival != leader and (reach > counts[leader] or (reach == counts[leader] and place < order.index(leader))):
            return False
    return left <= counts[leader]  # an answer not seen yet comes last: it must get ahead too


def probability_of_lead(leader: int, runner_up: int) -> float:
    """Return P(p > 1/2) under Beta(leader + 1, runner_up + 1): exact, as a tail of a fair binomial law."""
    trials = leader + runner_up + 1
    return sum(comb(trials, k) for k in range(leader + 1)) / 2**trials


def leader_is_stable(answers: Sequence[Hashable | None], *, confidence: float) -> bool:
    """Return whether the leader stays ahead of the runner-up with probability of at least `confidence`."""
    counts = sorted(Counter(answer for answer in answers if answer is not None).values(), reverse=True)
    if not counts:
        return False
    return probability_of_lead(counts[0], counts[1] if len(counts) > 1 else 0) >= confidence
