"""Rewards of writing: the losses that they are learnt by, the choice among revisions, and agreement with readers.

Source: Chakrabarty et al. 2025, arXiv:2504.07532 (WQRM, card 01): cross-entropy of the pair similarity plus squared
error of the reward / 4; the best of N revisions by reward; share of pairs in which the sign of the reward gap agrees
with the readers' preference, also for gaps above one point; accuracy on pairs by set.
Differs: the draft stays unless a revision is strictly better, and equal rewards leave a pair undecided, which counts
one half (our choices, the paper does not say).
Cost: closed forms. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ponder.core.errors import BadInput

__all__ = ["Agreement", "Losses", "best_revision", "gap_agreement", "length_change", "pair_accuracy", "reward_losses"]

_SMALL = 1e-8  # in the released code's denominators


class Losses(NamedTuple):
    """Losses of one batch: `total` is the sum of those whose kind of item is there; an absent one is 0."""

    total: float
    pairs: float
    rewards: float


class Agreement(NamedTuple):
    """How often the text with the higher reward is preferred.

    Attributes:
        share: of the pairs, in [0, 1]; None without a pair.
        pairs: how many.
    """

    share: float | None
    pairs: int


def reward_losses(
    similarities: Sequence[float], rewards: Sequence[float], labels: Sequence[int], scores: Sequence[float | None]
) -> Losses:
    """Return the losses of a batch that mixes pairs and single texts.

    Args:
        similarities: for each item the pair head's value in (0, 1], read as P(first is better).
        rewards: for each item the reward head's value.
        labels: 0 where the first text is better, 1 where the second is, -1 for a single text.
        scores: of the single texts, what the reward should be.

    Raises:
        BadInput: lengths that differ, a label of another kind, or a single text without a score.
    """
    if not len(similarities) == len(rewards) == len(labels) == len(scores):
        raise BadInput("similarities, rewards, labels and scores need the same length")
    if set(labels) - {0, 1, -1}:
        raise BadInput("labels are 0, 1 or -1")
    missed = [_surprise(c if y == 0 else 1 - c) for c, y in zip(similarities, labels, strict=True) if y >= 0]
    off: list[float] = []
    for reward, label, score in zip(rewards, labels, scores, strict=True):
        if label < 0:
            if score is None:
                raise BadInput("a single text needs a score")
            off.append((reward - score) ** 2)
    pairs = math.fsum(missed) / (len(missed) + _SMALL)
    single = math.fsum(off) / (len(off) + _SMALL) / 4
    return Losses(pairs + single, pairs, single)


def best_revision(draft: float | None, revisions: Sequence[float | None]) -> int | None:
    """Return the place of the first revision with the highest reward, or None where the draft stays.

    Args:
        draft: its reward; where it is missing any revision with a reward is better.
        revisions: their rewards; a missing one never wins.
    """
    known = [at for at, reward in enumerate(revisions) if reward is not None]
    best = max(known, key=lambda at: (revisions[at], -at), default=None)
    if best is None:
        return None
    top = revisions[best]
    assert top is not None
    return best if draft is None or top > draft else None


def length_change(draft: str, revision: str) -> float:
    """Return by which share of the draft's words the revision is longer or shorter, >= 0.

    Raises:
        BadInput: the draft has no word.
    """
    words = len(draft.split())
    if not words:
        raise BadInput("the draft has no word")
    return abs(len(revision.split()) - words) / words


def gap_agreement(gaps: Sequence[float], preferred: Sequence[bool], *, above: float = 0.0) -> Agreement:
    """Return how often readers prefer the text with the higher reward.

    Args:
        gaps: reward of the one text less that of the other.
        preferred: whether readers prefer the one.
        above: leave out pairs whose gap is not larger than this, in points.

    Raises:
        BadInput: lengths that differ.
    """
    if len(gaps) != len(preferred):
        raise BadInput(f"{len(gaps)} gaps need as many preferences, got {len(preferred)}")
    kept = [(gap, liked) for gap, liked in zip(gaps, preferred, strict=True) if abs(gap) > above or not above]
    won = math.fsum(0.5 if gap == 0 else float((gap > 0) == liked) for gap, liked in kept)
    return Agreement(won / len(kept) if kept else None, len(kept))


def pair_accuracy(chosen: Sequence[str | None], references: Sequence[str], sets: Sequence[str]) -> Mapping[str, float]:
    """Return the accuracy of a judge of pairs in each set, the mean over sets ("macro") and over all pairs ("pooled").

    Args:
        chosen: "1" or "2"; None for a tie, which counts one half.
        references: as many preferences, "1" or "2".
        sets: the set that each pair belongs to.

    Raises:
        BadInput: lengths that differ, or no pair.
    """
    if not len(chosen) == len(references) == len(sets) or not chosen:
        raise BadInput("choices, references and sets need the same length, at least 1")
    right = [0.5 if c is None else float(c == r) for c, r in zip(chosen, references, strict=True)]
    found = {}
    for name in dict.fromkeys(sets):
        part = [value for value, member in zip(right, sets, strict=True) if member == name]
        found[name] = math.fsum(part) / len(part)
    macro = math.fsum(found.values()) / len(found)
    return {**found, "macro": macro, "pooled": math.fsum(right) / len(right)}


def _surprise(probability: float) -> float:
    return -math.log(probability) if probability > 0 else math.inf
