"""Votes over candidate answers: majority, weighted, best-of.

An answer is any hashable; None is an answer that could not be read and forms no group. Equal totals go to the answer
seen first. Choices are returned as indices of candidates.
Source: card 04 (arXiv:2408.03314) B5-7, card 13 (arXiv:2502.06703) rules of voting.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

__all__ = ["best_of", "majority", "totals", "weighted_vote"]


def totals(answers: Sequence[Hashable | None], weights: Sequence[float | None] | None = None) -> dict[Hashable, float]:
    """Return the sum of weights of each answer, in the order of first appearance; missing weights add nothing."""
    weights = [1.0] * len(answers) if weights is None else weights
    sums: dict[Hashable, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if answer is not None and weight is not None:
            sums[answer] = sums.get(answer, 0.0) + weight
    return sums


def majority(answers: Sequence[Hashable | None]) -> int | None:
    """Return the index of the first candidate with the most frequent answer, or None where none can be read."""
    sums = totals(answers)
    return answers.index(max(sums, key=sums.__getitem__)) if sums else None


def best_of(scores: Sequence[float | None]) -> int | None:
    """Return the index of the first highest score; missing ones never win; None where all are missing."""
    known = [(score, -index) for index, score in enumerate(scores) if score is not None]
    return -max(known)[1] if known else None


def weighted_vote(answers: Sequence[Hashable | None], scores: Sequence[float | None]) -> int | None:
    """Return the best-scored candidate among those with the answer of the largest summed score (card 04, B7)."""
    sums = totals(answers, scores)
    if not sums:
        return None
    winner = max(sums, key=sums.__getitem__)
    return best_of([score if answer == winner else None for answer, score in zip(answers, scores, strict=True)])
