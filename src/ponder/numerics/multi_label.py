"""Multi-label metrics, one class at a time: area under the curve, best F1 over thresholds, accuracy at that threshold.

Source: Liu et al. 2024, arXiv:2403.06659 (card 56), step 8 and its released evaluation.
Differs: accuracy counts scores equal to the threshold as positive; `parity="released"` takes only those above it, so
that the threshold's own sample is lost. A class with one label value has no area: it is None and left out of means.
F1 and accuracy choose their threshold by the labels they are measured on: optimistic; prefer the area.
Cost: one sort. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from ponder.core.errors import BadInput
from ponder.numerics.auc import Counted, auc

__all__ = ["ClassMetrics", "class_metrics", "macro_mean"]


class ClassMetrics(NamedTuple):
    """Of one class: area, best F1 and accuracy in percent, and the threshold of the best F1."""

    area: float | None
    f1: float
    accuracy: float
    threshold: float


def class_metrics(
    labels: Sequence[int], scores: Sequence[float], *, parity: Literal["paper", "released"] = "paper"
) -> ClassMetrics:
    """Return the metrics of one class; of equally good thresholds the lowest is taken.

    Args:
        labels: 0 or 1, at least one.
        scores: as many, higher is likelier.
        parity: see the module.

    Raises:
        BadInput: as many labels as scores are needed, and at least one.
    """
    _check(labels, scores)
    trials = [Counted(s, bool(y), not y) for y, s in zip(labels, scores, strict=True)]
    ranked = auc(trials)
    positive = sum(1 for label in labels if label)
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    best, threshold, hits = -1.0, scores[order[0]], 0
    for taken, i in enumerate(order, 1):
        hits += 1 if labels[i] else 0
        if taken < len(order) and scores[order[taken]] == scores[i]:
            continue  # equal scores come together
        f1 = 2 * hits / (taken + positive) if hits else 0.0
        if f1 >= best:  # thresholds descend here: of equal ones the last is the lowest
            best, threshold = f1, scores[i]
    chosen = [score > threshold if parity == "released" else score >= threshold for score in scores]
    right = sum(bool(label) == take for label, take in zip(labels, chosen, strict=True))
    return ClassMetrics(None if ranked is None else 100 * ranked, 100 * best, 100 * right / len(labels), threshold)


def macro_mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of what is there; None of nothing."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _check(labels: Sequence[int], scores: Sequence[float]) -> None:
    if len(labels) != len(scores) or not labels:
        raise BadInput(f"metrics need as many labels as scores, got {len(labels)} and {len(scores)}")
