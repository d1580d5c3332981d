"""Metrics of predictions on a stream: errors by domain, forgetting, collapse, calibration and its drift.

Source: card 00 (protocols of Tent, arXiv:2006.10726, EATA, arXiv:2204.02610, and the benchmark of arXiv:2306.00650);
mean corruption errors of Hendrycks and Dietterich 2019, arXiv:1903.12261.
Differs: calibration drift (ours) is the calibration error of the last third of a stream less that of the first.
Cost: linear. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from ponder.core.errors import BadInput
from ponder.numerics.calibration import calibration_error

__all__ = [
    "calibration_drift",
    "dominant_share",
    "error_by",
    "error_rate",
    "mean_corruption_error",
    "relative_corruption_error",
    "total_variation",
]

K = TypeVar("K", bound=Hashable)


def error_rate(right: Sequence[bool]) -> float | None:
    """Return the share of wrong predictions, in [0, 1]; None without any."""
    return 1 - sum(right) / len(right) if right else None


def error_by(right: Sequence[bool], groups: Sequence[K]) -> dict[K, float]:
    """Return the error of each group (domain, label), in the order in which groups first occur.

    Raises:
        BadInput: lengths that differ.
    """
    if len(right) != len(groups):
        raise BadInput(f"{len(right)} predictions need as many groups, got {len(groups)}")
    seen: dict[K, list[bool]] = {}
    for good, group in zip(right, groups, strict=True):
        seen.setdefault(group, []).append(good)
    return {group: 1 - sum(found) / len(found) for group, found in seen.items()}


def dominant_share(predictions: Sequence[int]) -> float | None:
    """Return the share of the class predicted most often: near 1 is a collapse; None without predictions."""
    return max(Counter(predictions).values()) / len(predictions) if predictions else None


def total_variation(left: Sequence[float], right: Sequence[float]) -> float:
    """Return half the sum of absolute differences of two laws, in [0, 1]."""
    return math.fsum(abs(a - b) for a, b in zip(left, right, strict=True)) / 2


def calibration_drift(confidences: Sequence[float], right: Sequence[bool], *, bins: int = 15) -> float | None:
    """Return the calibration error of the last third less that of the first, in [-1, 1]; None below 3 samples."""
    third = len(right) // 3
    first = calibration_error(confidences[:third], right[:third], bins=bins)
    last = calibration_error(confidences[-third:], right[-third:], bins=bins) if third else None
    return None if first is None or last is None else last - first


def mean_corruption_error(errors: Mapping[str, float], reference: Mapping[str, float]) -> float:
    """Return the mean over corruptions of error / reference error, in percent (mCE).

    Raises:
        BadInput: no corruption, one without a reference, or a reference error of 0.
    """
    return _relative(errors, reference, 0.0, 0.0)


def relative_corruption_error(
    errors: Mapping[str, float], reference: Mapping[str, float], *, clean: float, reference_clean: float
) -> float:
    """Return the mean over corruptions of (error - clean) / (reference - its clean), in percent (relative mCE).

    Raises:
        BadInput: as `mean_corruption_error`.
    """
    return _relative(errors, reference, clean, reference_clean)


def _relative(errors: Mapping[str, float], reference: Mapping[str, float], clean: float, base: float) -> float:
    if not errors:
        raise BadInput("no corruption to average over")
    if missing := sorted(errors.keys() - reference.keys()):
        raise BadInput(f"no reference error for {', '.join(missing)}")
    if any(reference[name] == base for name in errors):
        raise BadInput("a reference that loses nothing by a corruption cannot be a reference for it")
    ratios = [(error - clean) / (reference[name] - base) for name, error in errors.items()]
    return 100 * math.fsum(ratios) / len(ratios)
