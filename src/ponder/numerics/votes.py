"""Votes: from what each sample answered, and how it was scored, to the index of the sample to return.

Source: majority, Wang et al. 2022, arXiv:2203.11171; best-of-N, weighted and hierarchical choice, Snell et al. 2024,
arXiv:2408.03314 (card 04); Borda votes, Kang et al. 2025, arXiv:2502.18581 (card 26).
Rules in all of them: an answer of None (nothing to read) forms no group; a score of None or NaN is missing, so it never
wins and adds nothing (it is not 0); equal totals go to the answer seen first, equal scores to the first sample;
where nothing can win the result is None. Totals are added from left to right: the same on every Python version
(`sum` compensates since 3.12), which decides near-ties.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple, TypeVar

__all__ = [
    "HierarchicalChoice",
    "best_of",
    "borda",
    "borda_weights",
    "hierarchical_vote",
    "majority",
    "totals",
    "weighted_vote",
]

A = TypeVar("A", bound=Hashable)


class HierarchicalChoice(NamedTuple):
    """Outcome of a vote inside chains, then across them.

    Attributes:
        representatives: for each chain the position of its representative; None where the chain has none.
        chain: the chain whose representative wins; None where there is none at all.
    """

    representatives: tuple[int | None, ...]
    chain: int | None


def majority(answers: Sequence[A | None]) -> int | None:
    """Return the index of the first sample that gave the most frequent answer."""
    return _first(answers, _largest(totals(answers)))


def weighted_vote(answers: Sequence[A | None], scores: Sequence[float | None]) -> int | None:
    """Return the index of the best-scored sample among those that gave the answer with the largest summed score.

    Scores may be negative; they are summed as they are.
    """
    winner = _largest(totals(answers, scores))
    if winner is None:
        return None
    return best_of([score if answer == winner else None for answer, score in zip(answers, scores, strict=True)])


def best_of(scores: Sequence[float | None]) -> int | None:
    """Return the index of the first largest score."""
    best: int | None = None
    highest = -math.inf
    for index, score in enumerate(scores):
        if score is not None and not math.isnan(score) and (best is None or score > highest):
            best, highest = index, score
    return best


def totals(answers: Sequence[A | None], weights: Sequence[float | None] | None = None) -> dict[A, float]:
    """Return the summed weight (by default the count) of each answer, in the order in which they were first seen.

    An answer whose weights are all missing is not listed. Whole weights give whole totals, however large.
    """
    sums: dict[A, float] = {}
    for answer, weight in zip(answers, [1] * len(answers) if weights is None else weights, strict=True):
        if answer is not None and weight is not None and not math.isnan(weight):
            sums[answer] = sums.get(answer, 0) + weight
    return sums


def hierarchical_vote(chains: Sequence[Sequence[tuple[A | None, float | None]]]) -> HierarchicalChoice:
    """Vote by score inside each chain of (answer, score), then by score across the chains' representatives.

    A chain is represented by the best-scored member that has its winning answer (card 04, step 14).
    """
    representatives = tuple(weighted_vote([a for a, _ in chain], [s for _, s in chain]) for chain in chains)
    nobody: tuple[A | None, float | None] = (None, None)
    chosen = [nobody if at is None else chain[at] for chain, at in zip(chains, representatives, strict=True)]
    return HierarchicalChoice(representatives, weighted_vote([a for a, _ in chosen], [s for _, s in chosen]))


def borda(answers: Sequence[A | None], confidences: Sequence[float | None], power: float) -> int | None:
    """Return the index of the first sample that gave the answer with the most Borda votes.

    `power` = 0 is the majority vote; a large one follows the single most confident readable answer.
    """
    return _first(answers, _largest(totals(answers, borda_weights(confidences, power))))


def borda_weights(confidences: Sequence[float | None], power: float) -> list[float]:
    """Return each sample's votes: (N - r + 1) ** power for the r-th most confident of N, r = 1..N.

    Equal confidences rank in sample order; a missing one ranks below all others. Samples without an answer keep their
    rank, and give their votes to nobody (`totals` leaves them out).
    """
    known = [-math.inf if c is None or math.isnan(c) else c for c in confidences]
    weights: list[float] = [0] * len(known)
    for rank, index in enumerate(sorted(range(len(known)), key=known.__getitem__, reverse=True)):
        weights[index] = (len(known) - rank) ** power
    return weights


def _largest(sums: dict[A, float]) -> A | None:
    at = best_of(list(sums.values()))
    return None if at is None else list(sums)[at]


def _first(answers: Sequence[A | None], winner: A | None) -> int | None:
    return None if winner is None else answers.index(winner)
