"""How good stated confidences are: calibration, and how well they tell right answers from wrong ones.

Source: Zeng et al. 2025, arXiv:2504.06564 (card 25): ECE, ACE, AUROC, AUPRC for right and for wrong answers; average
precision as in Davis & Goadrich 2006, equal values counted together.
Differs: Brier score and the shares that a blind guess has (base lines of AUPRC) are added; what is not defined (all
right, or all wrong) is missing.
Cost: n log n. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ponder.core.errors import BadInput
from ponder.numerics.auc import Counted, auc
from ponder.numerics.calibration import (
    Bin,
    Closed,
    adaptive_calibration_error,
    binned_error,
    brier_score,
    width_bins,
)

__all__ = ["ConfidenceReport", "average_precision", "confidence_report", "rank_correlation"]


@dataclass(frozen=True, kw_only=True)
class ConfidenceReport:
    """Measures over the answers that were attempted and whose confidence can be read.

    Attributes:
        answers: how many.
        accuracy: share of them that is right.
        confidence: their mean.
        ece, ace, brier: in [0, 1], 0 at best.
        auroc: in [0, 1], 0.5 for a blind guess; None where all are right, or all wrong.
        auprc_right: average precision of finding right answers, whose blind share is `accuracy`; None without any.
        auprc_wrong: of finding wrong ones, whose blind share is 1 - accuracy; None without any.
        bins: of the reliability diagram.
    """

    answers: int
    accuracy: float | None
    confidence: float | None
    ece: float | None
    ace: float | None
    brier: float | None
    auroc: float | None
    auprc_right: float | None
    auprc_wrong: float | None
    bins: tuple[Bin, ...] = ()


def confidence_report(
    confidences: Sequence[float], right: Sequence[bool], *, bins: int = 10, closed: Closed = "right"
) -> ConfidenceReport:
    """Measure confidences against grades.

    Args:
        confidences: in [0, 1].
        right: as many grades.
        bins: of ECE and ACE, >= 1.
        closed: side of a bin that belongs to it, see `width_bins`.

    Raises:
        BadInput: lengths that differ, or a confidence outside [0, 1].
        ConfigError: bins or closed out of range.
    """
    found = width_bins(confidences, right, bins=bins, closed=closed)
    count = len(confidences)
    trials = [Counted(c, y, 1 - y) for c, y in zip(confidences, map(float, right), strict=True)]
    return ConfidenceReport(
        answers=count,
        accuracy=sum(right) / count if count else None,
        confidence=math.fsum(confidences) / count if count else None,
        ece=binned_error(found),
        ace=adaptive_calibration_error(confidences, right, bins=bins),
        brier=brier_score(confidences, right),
        auroc=auc(trials),
        auprc_right=average_precision(confidences, right),
        auprc_wrong=average_precision([-c for c in confidences], [not y for y in right]),
        bins=tuple(found),
    )


def average_precision(scores: Sequence[float], positive: Sequence[bool]) -> float | None:
    """Return the sum over thresholds of (gain in recall) * precision, in (0, 1]; equal scores are one threshold.

    Args:
        scores: higher means more likely positive.
        positive: as many labels.

    Returns:
        The area, or None without a positive.

    Raises:
        BadInput: lengths that differ.
    """
    if len(scores) != len(positive):
        raise BadInput(f"{len(scores)} scores need as many labels, got {len(positive)}")
    total = sum(positive)
    if not total:
        return None
    area, seen, hits = 0.0, 0, 0
    ranked = sorted(zip(scores, positive, strict=True), key=lambda pair: -pair[0])
    for _, group in groupby(ranked, key=lambda pair: pair[0]):
        tied = [label for _, label in group]
        seen += len(tied)
        gained = sum(tied)
        hits += gained
        area += gained / total * hits / seen
    return area


def rank_correlation(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Return Spearman's correlation in [-1, 1], equal values at their mean rank; None where either does not vary.

    Raises:
        BadInput: lengths that differ.
    """
    if len(left) != len(right):
        raise BadInput(f"{len(left)} values need as many others, got {len(right)}")
    ranks = _ranks(left), _ranks(right)
    middle = (len(left) + 1) / 2
    first, second = ([rank - middle for rank in side] for side in ranks)
    spread = math.sqrt(math.fsum(a * a for a in first) * math.fsum(b * b for b in second))
    return math.fsum(a * b for a, b in zip(first, second, strict=True)) / spread if spread > 0 else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda at: values[at])
    ranks = [0.0] * len(values)
    before = 0
    for _, group in groupby(order, key=lambda at: values[at]):
        tied = list(group)
        for at in tied:
            ranks[at] = before + (len(tied) + 1) / 2
        before += len(tied)
    return ranks
