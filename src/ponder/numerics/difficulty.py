"""Bins of difficulty from pass rates: relative to a set of questions (quantiles) or absolute.

Source: quantiles, Snell et al. 2024, arXiv:2408.03314, section 3.2 (card 04); absolute thresholds, Liu et al. 2025,
arXiv:2502.06703 (card 13).
Differs: where questions do not divide evenly, or tie, they fill the bins in order (our choice); the lower edges of the
absolute bins belong to them (our choice).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ponder.core.errors import ConfigError

__all__ = ["Difficulty", "absolute_bin", "quantile_bins"]

Difficulty = Literal["easy", "medium", "hard"]


def quantile_bins(pass_rates: Sequence[float], bins: int = 5) -> list[int]:
    """Return the bin of each question: 1 (easiest) to `bins` (hardest), of equal counts up to one.

    Questions rank by descending pass rate, ties in the given order; rank r of n goes to bin 1 + floor(r * bins / n).

    Raises:
        ConfigError: bins < 1.
    """
    if bins < 1:
        raise ConfigError(f"bins must be at least 1, got {bins!r}")
    n = len(pass_rates)
    out = [0] * n
    for rank, index in enumerate(sorted(range(n), key=pass_rates.__getitem__, reverse=True)):
        out[index] = 1 + rank * bins // n
    return out


def absolute_bin(pass_at_1: float) -> Difficulty:
    """Return "easy" from a pass rate of 0.5 on, "medium" from 0.1 on, else "hard"."""
    if pass_at_1 >= 0.5:
        return "easy"
    return "medium" if pass_at_1 >= 0.1 else "hard"
