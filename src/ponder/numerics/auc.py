"""Area under the ROC curve for outcomes counted at each score: how often a success ranks above a failure.

Source: Mann & Whitney 1947 (ties count half); intervals by the cluster bootstrap of Davison & Hinkley 1997, 3.8.
Cost: n log n. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Literal, NamedTuple

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.intervals import Interval, draws

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
    return _interval(tuple(trials), pairs, seed, resamples, level)


@lru_cache(maxsize=256)  # curves that share their samples share the interval
def _interval(trials: tuple[Counted, ...], pairs: Pairs, seed: int, resamples: int, level: float) -> Interval | None:
    value = auc(trials, pairs)
    if value is None:
        return None
    parts = _parts(trials)
    won_of = _resampled_all(parts) if pairs == "all" else _resampled_within(parts)
    areas = [
        won / total
        for pick in draws(seed, "auc_interval", len(parts), resamples)
        for won, total in [won_of(pick(range(len(parts))))]
        if total > 0
    ]
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


def _resampled_all(parts: Sequence[Sequence[Counted]]) -> Callable[[Sequence[int]], tuple[float, float]]:
    """Return what turns the clusters drawn into the pairs that their successes win, and all pairs.

    Whole counts can be multiplied by how often their cluster was drawn, so that the scores are sorted once; of others
    the sums would come out otherwise in the last digit, so they are added in the order drawn.
    """
    if any(trial.right % 1 or trial.wrong % 1 for part in parts for trial in part):
        return lambda drawn: _won([trial for at in drawn for trial in parts[at]])
    placed = sorted((trial.score, at, trial.right, trial.wrong) for at, part in enumerate(parts) for trial in part)
    tied = [[entry[1:] for entry in group] for _, group in groupby(placed, key=itemgetter(0))]

    def won_of(drawn: Sequence[int]) -> tuple[float, float]:
        times = [0] * len(parts)
        for at in drawn:
            times[at] += 1
        won = below = right = 0.0
        for group in tied:
            good = bad = 0.0
            for at, successes, failures in group:
                good += times[at] * successes
                bad += times[at] * failures
            won += good * (below + bad / 2)
            below += bad
            right += good
        return won, right * below

    return won_of


def _resampled_within(parts: Sequence[Sequence[Counted]]) -> Callable[[Sequence[int]], tuple[float, float]]:
    sums = [_won(part) for part in parts]
    return lambda drawn: _sum([sums[at] for at in drawn])


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
