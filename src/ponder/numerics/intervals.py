"""Intervals: how sure a measured mean is, when the samples of one prompt are not independent.

Source: Wilson 1927 (score interval of a proportion); cluster bootstrap with percentile limits, Davison & Hinkley 1997,
section 3.8: whole prompts are resampled, with all their values.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from ponder.core.errors import BadInput, ConfigError
from ponder.core.seeds import derive

__all__ = ["Interval", "cluster_bootstrap", "paired_difference", "wilson"]


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
    parts = [(math.fsum(found), len(found)) for found in members.values()]
    rng = derive(seed, "cluster_bootstrap")
    means = sorted(_mean(rng.choices(parts, k=len(parts))) for _ in range(resamples))
    return Interval(_mean(parts), _quantile(means, (1 - level) / 2), _quantile(means, (1 + level) / 2))


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


def _mean(parts: Sequence[tuple[float, int]]) -> float:
    return math.fsum(total for total, _ in parts) / sum(count for _, count in parts)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Interpolate linearly between order statistics."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ConfigError(f"level must be in (0, 1), got {level!r}")
