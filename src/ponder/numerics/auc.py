"""Area under the ROC curve for outcomes counted at each score: how often a success ranks above a failure.

Source: Mann & Whitney 1947 (ties count half); intervals by the cluster bootstrap of Davison & Hinkley 1997, 3.8.
Cost: n log n. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from ponder.core.errors import BadInput, ConfigError
from ponder.core.seeds import derive
from ponder.numerics.intervals import Interval

__all__ = ["Counted", "auc", "auc_interval"]

Pairs = Literal["all", "within"]


class Counted(NamedTuple):
    """A score and what became of the trials that have it.

    Attributes:
        score: finite.
        right, wrong: successes and failures, >= 0 (need not be whole).
        cluster: what the trials have in common, for example their task.
    """

    score: float
    right: float
    wrong: float
    cluster: Hashable = None


def auc(trials: Sequence[Counted], pairs: Pairs = "all") -> float | None:
    """Return the share of (success, failure) pairs in which the success has the higher score, in [0, 1].

    Args:
        trials: in any order.
        pairs: "all" of them, or only those "within" a cluster, which is what a search within one task sees.

    Returns:
        The area, or None where there is no such pair.
    """
    won, total = _won(trials) if pairs == "all" else _sum([_won(part) for part in _parts(trials)])
    return won / total if total > 0 else None


def auc_interval(
    trials: Sequence[Counted], pairs: Pairs = "all", *, seed: int = 0, resamples: int = 1000, level: float = 0.95
) -> Interval | None:
    """Return the area with a percentile interval over resampled clusters; None where there is no pair.

    Resamples in which there is no pair are left out.

    Raises:
        ConfigError: level or resamples out of range.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(f"need resamples >= 1 and level in (0, 1), got {resamples!r} and {level!r}")
    value = auc(trials, pairs)
    if value is None:
        return None
    parts = _parts(trials)
    sums = [_won(part) for part in parts]
    rng = derive(seed, "auc_interval")
    areas = []
    for _ in range(resamples):
        drawn = rng.choices(range(len(parts)), k=len(parts))
        won, total = (
            _won([trial for at in drawn for trial in parts[at]]) if pairs == "all" else _sum([sums[at] for at in drawn])
        )
        if total > 0:
            areas.append(won / total)
    areas.sort()
    return Interval(value, _at(areas, (1 - level) / 2, value), _at(areas, (1 + level) / 2, value))


def _won(trials: Sequence[Counted]) -> tuple[float, float]:
    """Return the pairs that the successes win, ties as half, and all pairs."""
    won = below = right = 0.0
    for _, group in groupby(sorted(trials, key=lambda trial: trial.score), key=lambda trial: trial.score):
        tied = list(group)
        good, bad = sum(trial.right for trial in tied), sum(trial.wrong for trial in tied)
        if good < 0 or bad < 0:
            raise BadInput("counts of successes and failures cannot be negative")
        won += good * (below + bad / 2)
        below += bad
        right += good
    return won, right * below


def _parts(trials: Sequence[Counted]) -> list[list[Counted]]:
    parts: dict[Hashable, list[Counted]] = {}
    for trial in trials:
        parts.setdefault(trial.cluster, []).append(trial)
    return list(parts.values())


def _sum(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(won for won, _ in pairs), sum(total for _, total in pairs)


def _at(ordered: Sequence[float], share: float, default: float) -> float:
    """Return a quantile of sorted values, linear between neighbours."""
    if not ordered:
        return default
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
