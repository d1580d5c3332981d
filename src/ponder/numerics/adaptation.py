"""Thresholds and sample filters of entropy-based adaptation at test time, on plain lists.

Source: entropy margin 0.4 ln C, weights exp(E0 - e) and the filter of redundant samples, Niu et al. 2022,
arXiv:2204.02610 (card 48, equations 3 to 5); reset threshold 0.2 for 1000 classes, Niu et al. 2023, arXiv:2302.12400
(card 47).
Differs: the published constants belong to one number of classes each; what they are for another number is ours. This is
the naive form: adapters compute the same on tensors.
Cost: samples x classes. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ponder.core.errors import BadInput, ConfigError

__all__ = [
    "Filtered",
    "cosine",
    "entropy",
    "entropy_margin",
    "filter_samples",
    "moving_average",
    "reset_threshold",
    "similarity_margin",
    "softmax",
]

_IMAGENET = math.log(1000)


class Filtered(NamedTuple):
    """What a batch's filter decides, sample by sample.

    Attributes:
        entropies: in nats, in [0, ln C].
        reliable: entropy below the margin.
        similarities: cosine to the average prediction; None before there is one.
        selected: reliable and not redundant.
        weights: exp(margin - entropy) > 1 of selected samples, 0 of others.
        loss: mean over the selected of weight x entropy; None without any.
        average: the average prediction after this batch; None as long as nothing was selected.
    """

    entropies: list[float]
    reliable: list[bool]
    similarities: list[float | None]
    selected: list[bool]
    weights: list[float]
    loss: float | None
    average: list[float] | None


def entropy_margin(classes: int, share: float = 0.4) -> float:
    """Return the entropy (nats) below which a prediction counts as reliable: share x ln C.

    Raises:
        ConfigError: fewer than 2 classes.
    """
    return share * _log_classes(classes)


def similarity_margin(classes: int) -> float:
    """Return the cosine above which a prediction counts as redundant, in (0, 0.4].

    Published are 0.4 at 10 classes, 0.1 at 100 and 0.05 at 1000. Between them we interpolate in log-log, outside we
    stay at the ends: with few classes two predictions are seldom as far apart as 0.05.

    Raises:
        ConfigError: fewer than 2 classes.
    """
    _log_classes(classes)
    known = [(10, 0.4), (100, 0.1), (1000, 0.05)]
    if classes <= known[0][0]:
        return known[0][1]
    for (left, high), (right, low) in pairwise(known):
        if classes <= right:
            part = math.log(classes / left) / math.log(right / left)
            return math.exp((1 - part) * math.log(high) + part * math.log(low))
    return known[-1][1]


def reset_threshold(classes: int) -> float:
    """Return the mean entropy (nats) below which a model counts as collapsed: 0.2 ln C / ln 1000.

    Raises:
        ConfigError: fewer than 2 classes.
    """
    return 0.2 / _IMAGENET * _log_classes(classes)


def softmax(logits: Sequence[float]) -> list[float]:
    """Return probabilities of finite logits.

    Raises:
        BadInput: no logits.
    """
    if not logits:
        raise BadInput("no logits: a prediction needs at least one class")
    top = max(logits)
    raised = [math.exp(z - top) for z in logits]
    total = math.fsum(raised)
    return [r / total for r in raised]


def entropy(probabilities: Sequence[float]) -> float:
    """Return -sum p ln p in nats; a class of probability 0 adds nothing."""
    return -math.fsum(p * math.log(p) for p in probabilities if p > 0)


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Return the cosine of two vectors of one length, neither zero."""
    dot = math.fsum(a * b for a, b in zip(left, right, strict=True))
    return dot / (math.sqrt(math.fsum(a * a for a in left)) * math.sqrt(math.fsum(b * b for b in right)))


def moving_average(old: Sequence[float] | None, new: Sequence[float], keep: float = 0.9) -> list[float]:
    """Return keep x old + (1 - keep) x new; the first value stands as it is."""
    return list(new) if old is None else [keep * a + (1 - keep) * b for a, b in zip(old, new, strict=True)]


def filter_samples(
    logits: Sequence[Sequence[float]], average: Sequence[float] | None, *, margin: float, similarity: float
) -> Filtered:
    """Choose the samples of a batch that EATA learns from (card 48, steps 5 to 9); both comparisons are strict.

    Args:
        logits: B rows of C values.
        average: C probabilities, the mean prediction of samples selected before; None at the start.
        margin: entropy margin E0 in nats.
        similarity: largest cosine to `average`.
    """
    rows = [softmax(row) for row in logits]
    entropies = [entropy(p) for p in rows]
    reliable = [e < margin for e in entropies]
    similarities = [None if average is None else cosine(average, p) for p in rows]
    selected = [
        good and (like is None or abs(like) < similarity) for good, like in zip(reliable, similarities, strict=True)
    ]
    weights = [math.exp(margin - e) if kept else 0.0 for e, kept in zip(entropies, selected, strict=True)]
    kept = [p for p, chosen in zip(rows, selected, strict=True) if chosen]
    after = None if average is None else list(average)
    if not kept:
        return Filtered(entropies, reliable, similarities, selected, weights, None, after)
    mean = [math.fsum(column) / len(kept) for column in zip(*kept, strict=True)]
    loss = math.fsum(w * e for w, e in zip(weights, entropies, strict=True)) / len(kept)
    return Filtered(entropies, reliable, similarities, selected, weights, loss, moving_average(average, mean))


def _log_classes(classes: int) -> float:
    if classes < 2:
        raise ConfigError(f"a classifier has at least 2 classes, got {classes!r}")
    return math.log(classes)
