"""Two methods on the same prompts: an interval that is honest where they hardly differ, and the ratio of their costs.

Source: score interval of a difference of paired proportions, Tango 1998, Statistics in Medicine 17, 891-908. Where two
methods agree on all of n prompts, resampling states no doubt at all; this states +-z^2 / (n + z^2). The ratio of sums
resamples whole prompts (percentile limits, as `ponder.numerics.intervals`). The exact test of McNemar 1947 is binomial.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from ponder.core.errors import BadInput, ConfigError
from ponder.core.seeds import derive
from ponder.numerics.intervals import Interval

__all__ = ["cost_ratio", "mcnemar", "paired_score_interval"]


def paired_score_interval(won: float, lost: float, n: int, *, level: float = 0.95) -> Interval:
    """Return the difference of two shares on the same n prompts with its score interval, within [-1, 1].

    Args:
        won: prompts that only the first method answered rightly; of a method that is drawn at random, as expected.
        lost: prompts that only the second one did.
        n: all prompts, >= 1.
        level: of the interval, in (0, 1).

    Raises:
        BadInput: counts that do not fit together.
        ConfigError: level out of range.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level must be in (0, 1), got {level!r}")
    if n < 1 or min(won, lost) < 0 or won + lost > n:
        raise BadInput(f"cannot win {won!r} and lose {lost!r} of {n!r} prompts")
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    share = (won - lost) / n

    def excess(difference: float) -> float:
        """How far the data are from this difference, in standard errors under it; falls as it grows."""
        gap = won - lost - n * difference
        b = (2 * n - won + lost) * difference - won - lost
        c = -lost * difference * (1 - difference)
        q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)  # share of losses, most likely under it
        variance = n * (2 * q + difference * (1 - difference))
        return math.copysign(math.inf, gap) if variance <= 0 else gap / math.sqrt(variance)

    low = -1.0 if lost == n else _root(lambda d: excess(d) - z, -1.0, share)
    high = 1.0 if won == n else _root(lambda d: excess(d) + z, share, 1.0)
    return Interval(share, low, high)


def mcnemar(won: int, lost: int) -> float:
    """Return the two-sided p of the exact McNemar test on `won` against `lost` discordant pairs, in (0, 1].

    Raises:
        BadInput: a count below 0.
    """
    if min(won, lost) < 0:
        raise BadInput(f"counts cannot be below 0, got {won!r} and {lost!r}")
    pairs = won + lost
    ways = sum(math.comb(pairs, k) for k in range(min(won, lost) + 1))  # integers: 2^pairs may not fit a float
    return min(1.0, 2 * ways / (1 << pairs))


def cost_ratio(
    costs: Sequence[float], base: Sequence[float], *, seed: int = 0, resamples: int = 2000, level: float = 0.95
) -> Interval:
    """Return the total of `costs` over the total of `base`, both by prompt, with its interval over resampled prompts.

    Raises:
        BadInput: no prompts, sequences of unequal length, or a base without any cost.
        ConfigError: level or resamples out of range.
    """
    if not costs or len(costs) != len(base) or min(base) <= 0:
        raise BadInput("a ratio of costs needs as many of both, at least one, and a base above 0")
    if not 0 < level < 1 or resamples < 1:
        raise ConfigError("level must be in (0, 1) and resamples at least 1")
    pairs = list(zip(costs, base, strict=True))
    rng = derive(seed, "cost_ratio")
    ratios = sorted(_ratio(rng.choices(pairs, k=len(pairs))) for _ in range(resamples))
    low, high = (ratios[round(share * (resamples - 1))] for share in ((1 - level) / 2, (1 + level) / 2))
    return Interval(_ratio(pairs), low, high)


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return math.fsum(left for left, _ in pairs) / math.fsum(right for _, right in pairs)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Return where a falling function crosses 0 between the ends, by halving."""
    for _ in range(60):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
