"""Intervals: how sure a measured mean is, when the samples of one prompt are not independent.

Source: Wilson 1927 (score interval of a proportion); cluster bootstrap with percentile limits, Davison & Hinkley 1997,
section 3.8: whole prompts are resampled, with all their values.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from ponder.core.errors import BadInput, ConfigError
from ponder.core.seeds import derive

__all__ = ["Interval", "cluster_bootstrap", "draws", "paired_difference", "wilson"]

T = TypeVar("T")
# Clusters up to which intervals are remembered: a few kB each.
_MOST_REMEMBERED = 1000
# Places of all resamples together up to which they are kept: 4 MB.
_MOST_KEPT = 500_000


class Interval(NamedTuple):
    """A mean and the limits around it."""

    value: float
    low: float
    high: float


def wilson(successes: float, n: int, *, level: float = 0.95) -> Interval:
    """Return the share successes / n with its Wilson interval, within [0, 1].

    Raises:
        BadInput: n < 1, or successes outside [0, n].
        ConfigError: level outside (0, 1).
    """
    _check_level(level)
    if n < 1 or not 0 <= successes <= n:
        raise BadInput(f"cannot take {successes!r} of {n!r}")
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the limit is the share itself; say so exactly, whatever the rounding.
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == n else middle + half
    return Interval(share, low, high)


def cluster_bootstrap(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Return the mean of all values with a percentile interval over resampled clusters.

    Args:
        values: finite numbers (0/1 for right and wrong).
        clusters: the prompt of each value; prompts may have unequal numbers of values, which then weigh accordingly.
        seed: of the resampling; the same seed gives the same interval.
        resamples: bootstrap draws, >= 1.
        level: of the interval, in (0, 1).

    Raises:
        BadInput: no values, or not as many clusters as values.
        ConfigError: level or resamples out of range.
    """
    _check_level(level)
    if resamples < 1:
        raise ConfigError(f"resamples must be at least 1, got {resamples!r}")
    if not values or len(values) != len(clusters):
        raise BadInput(f"{len(values)} values in {len(clusters)} places: as many of both are needed, and at least one")
    members: dict[Hashable, list[float]] = {}
    for value, cluster in zip(values, clusters, strict=True):
        members.setdefault(cluster, []).append(value)
    totals = tuple(math.fsum(found) for found in members.values())
    counts = tuple(len(found) for found in members.values())
    limits = _limits if len(totals) <= _MOST_REMEMBERED else _limits.__wrapped__
    return Interval(math.fsum(totals) / sum(counts), *limits(totals, counts, seed, resamples, level))


@lru_cache(maxsize=1024)  # curves that share their samples share many of their numbers
def _limits(
    totals: tuple[float, ...], counts: tuple[int, ...], seed: int, resamples: int, level: float
) -> tuple[float, float]:
    drawn = draws(seed, "cluster_bootstrap", len(totals), resamples)
    if len(set(counts)) == 1:
        every = sum(counts)
        means = sorted([math.fsum(pick(totals)) / every for pick in drawn])
    else:
        means = sorted([math.fsum(pick(totals)) / sum(pick(counts)) for pick in drawn])
    return _quantile(means, (1 - level) / 2), _quantile(means, (1 + level) / 2)


def paired_difference(
    better: Sequence[float],
    base: Sequence[float],
    prompts: Sequence[Hashable],
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Return the mean of better - base on the same prompts, with the interval of `cluster_bootstrap`.

    Value i of both sides belongs to prompt i. What the prompts share in difficulty cancels out.

    Raises:
        BadInput: no values, or the sequences differ in length.
        ConfigError: level or resamples out of range.
    """
    if len(better) != len(base):
        raise BadInput(f"pairs need as many values on both sides, got {len(better)} and {len(base)}")
    differences = [left - right for left, right in zip(better, base, strict=True)]
    return cluster_bootstrap(differences, prompts, seed=seed, resamples=resamples, level=level)


def draws(seed: int, name: str, count: int, resamples: int) -> Iterable[Callable[[Sequence[T]], Sequence[T]]]:
    """Return resamples of `count` things with replacement, each as a function that picks it from a sequence.

    They depend on the arguments alone, so that many intervals over the same prompts need them drawn once: as far as
    they fit into some megabytes they are kept.
    """
    return (
        _kept(seed, name, count, resamples) if count * resamples <= _MOST_KEPT else _drawn(seed, name, count, resamples)
    )


@lru_cache(maxsize=32)
def _kept(seed: int, name: str, count: int, resamples: int) -> Sequence[Callable[[Sequence[Any]], Sequence[Any]]]:
    return tuple(_drawn(seed, name, count, resamples))


def _drawn(seed: int, name: str, count: int, resamples: int) -> Iterator[Callable[[Sequence[Any]], Sequence[Any]]]:
    rng, places = derive(seed, name), range(count)
    for _ in range(resamples):
        # Of one place alone, `itemgetter` would return the thing and no tuple of it.
        yield itemgetter(*rng.choices(places, k=count)) if count > 1 else tuple


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Interpolate linearly between order statistics."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ConfigError(f"level must be in (0, 1), got {level!r}")
