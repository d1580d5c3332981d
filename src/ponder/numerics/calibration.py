"""Calibration: whether answers stated with confidence p are right in a share p of cases.

Source: expected calibration error over bins, Naeini et al. 2015 and Guo et al. 2017, arXiv:1706.04599; Brier 1950. How
well confidence ranks right above wrong is `ponder.numerics.auc`.
Differs: the binning must be named, since the error depends on it; equal values never part over bins of equal counts.
Cost: n log n. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Literal, NamedTuple, TypeAlias

from ponder.core.errors import BadInput, ConfigError

__all__ = [
    "Bin",
    "Binning",
    "Closed",
    "adaptive_calibration_error",
    "binned_error",
    "brier_score",
    "calibration_bins",
    "calibration_error",
    "width_bins",
]

Binning: TypeAlias = Literal["width", "mass"]
Closed: TypeAlias = Literal["right", "left"]

_ON_EDGE = 1e-9  # a value so near to an edge, in bins, lies on it: 0.55 * 20 is not 11 in binary


class Bin(NamedTuple):
    """Answers of nearly the same confidence.

    Attributes:
        answers: how many, at least 1; bins without answers are left out.
        confidence: mean.
        accuracy: share that is right.
    """

    answers: int
    confidence: float
    accuracy: float


def calibration_bins(
    confidences: Sequence[float], right: Sequence[bool], *, bins: int = 10, binning: Binning = "width"
) -> list[Bin]:
    """Sort answers into bins of confidence, lowest first.

    Args:
        confidences: in [0, 1].
        right: as many grades.
        bins: how many at most, >= 1.
        binning: "width" cuts [0, 1] into equal parts, (k/bins, (k+1)/bins] and 0 in the first; "mass" puts nearly as
            many answers into each, equal confidences together.

    Raises:
        BadInput: lengths that differ, or a confidence outside [0, 1].
        ConfigError: bins or binning out of range.
    """
    _check(confidences, right)
    if bins < 1 or binning not in ("width", "mass"):
        raise ConfigError(f"need bins >= 1 and binning width or mass, got {bins!r} and {binning!r}")
    pairs = sorted(zip(confidences, map(float, right), strict=True))
    groups: dict[int, list[tuple[float, float]]] = {}
    before = 0
    for confidence, tied in groupby(pairs, key=lambda pair: pair[0]):
        group = list(tied)
        middle = before + (len(group) - 1) / 2  # of the ties, so that they fall where most of them belong
        at = max(0, math.ceil(confidence * bins) - 1) if binning == "width" else int(middle * bins / len(pairs))
        groups.setdefault(at, []).extend(group)
        before += len(group)
    return [
        Bin(len(group), math.fsum(c for c, _ in group) / len(group), math.fsum(y for _, y in group) / len(group))
        for _, group in sorted(groups.items())
    ]


def calibration_error(
    confidences: Sequence[float], right: Sequence[bool], *, bins: int = 10, binning: Binning = "width"
) -> float | None:
    """Return the mean over answers of |accuracy - confidence| of their bin (ECE), in [0, 1]; None without answers.

    Args and errors as `calibration_bins`.
    """
    found = calibration_bins(confidences, right, bins=bins, binning=binning)
    missed = math.fsum(part.answers * abs(part.accuracy - part.confidence) for part in found)
    return missed / len(confidences) if found else None


def brier_score(confidences: Sequence[float], right: Sequence[bool]) -> float | None:
    """Return the mean of (confidence - grade)^2, in [0, 1] and 0 at best; None without answers.

    Raises:
        BadInput: lengths that differ, or a confidence outside [0, 1].
    """
    _check(confidences, right)
    missed = math.fsum((c - y) ** 2 for c, y in zip(confidences, right, strict=True))
    return missed / len(confidences) if confidences else None


def width_bins(
    confidences: Sequence[float], right: Sequence[bool], *, bins: int = 10, closed: Closed = "right"
) -> list[Bin]:
    """Sort answers into equal parts of [0, 1], lowest first, with a named rule for values on an edge.

    Stated confidences are round numbers, so many lie on edges and the rule moves the calibration error.

    Args:
        confidences: in [0, 1].
        right: as many grades.
        bins: how many at most, >= 1.
        closed: "right" for (low, high] with 0 in the first, "left" for [low, high) with 1 in the last.

    Raises:
        BadInput: lengths that differ, or a confidence outside [0, 1].
        ConfigError: bins or closed out of range.
    """
    _check(confidences, right)
    if bins < 1 or closed not in ("right", "left"):
        raise ConfigError(f"need bins >= 1 and closed right or left, got {bins!r} and {closed!r}")
    groups: dict[int, list[tuple[float, float]]] = {}
    for pair in sorted(zip(confidences, map(float, right), strict=True)):
        place = pair[0] * bins
        at = (
            max(0, math.ceil(place - _ON_EDGE) - 1)
            if closed == "right"
            else min(bins - 1, math.floor(place + _ON_EDGE))
        )
        groups.setdefault(at, []).append(pair)
    return [_bin(group) for _, group in sorted(groups.items())]


def binned_error(found: Sequence[Bin]) -> float | None:
    """Return the mean over answers of |accuracy - confidence| of their bin (ECE), in [0, 1]; None without answers."""
    answers = sum(part.answers for part in found)
    missed = math.fsum(part.answers * abs(part.accuracy - part.confidence) for part in found)
    return missed / answers if answers else None


def adaptive_calibration_error(confidences: Sequence[float], right: Sequence[bool], *, bins: int = 10) -> float | None:
    """Return the plain mean of |accuracy - confidence| over bins of equal counts (ACE), in [0, 1].

    Zeng et al. 2025, arXiv:2504.06564 (card 25): answers sorted by confidence, those with equal confidence in the
    order given, and cut into bins whose sizes differ by at most one. With ties the value depends on that order.

    Args:
        confidences: in [0, 1].
        right: as many grades.
        bins: how many, >= 1; with fewer answers than bins each answer is a bin.

    Returns:
        The error, or None without answers.

    Raises:
        BadInput: lengths that differ, or a confidence outside [0, 1].
        ConfigError: bins out of range.
    """
    _check(confidences, right)
    if bins < 1:
        raise ConfigError(f"need bins >= 1, got {bins!r}")
    pairs = sorted(zip(confidences, map(float, right), strict=True), key=lambda pair: pair[0])
    parts = min(bins, len(pairs))
    cut = [pairs[at * len(pairs) // parts : (at + 1) * len(pairs) // parts] for at in range(parts)]
    found = [_bin(part) for part in cut]
    return math.fsum(abs(part.accuracy - part.confidence) for part in found) / parts if parts else None


def _bin(pairs: Sequence[tuple[float, float]]) -> Bin:
    count = len(pairs)
    return Bin(count, math.fsum(c for c, _ in pairs) / count, math.fsum(y for _, y in pairs) / count)


def _check(confidences: Sequence[float], right: Sequence[bool]) -> None:
    if len(confidences) != len(right):
        raise BadInput(f"{len(confidences)} confidences need as many grades, got {len(right)}")
    if not all(0 <= confidence <= 1 for confidence in confidences):
        raise BadInput("confidences must be in [0, 1]")
