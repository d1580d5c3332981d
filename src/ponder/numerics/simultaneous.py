"""Lower limits of many means at once, all from the same questions, so that the best-looking one may be believed.

Whoever takes the best of many candidates takes the luckiest: one limit for each alone is then too hopeful. These hold
for all together; candidates that mostly agree cost little more than one.
Source: Gaussian multiplier bootstrap of the largest studentised deviation, Chernozhukov, Chetverikov & Kato 2013,
Annals of Statistics 41, 2786-2819.
Cost: resamples x candidates x questions. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need
from ponder.core.seeds import derive_seed

__all__ = ["simultaneous_lows"]


def simultaneous_lows(
    values: Sequence[Sequence[float]], *, level: float = 0.95, seed: int = 0, resamples: int = 1000
) -> list[float]:
    """Return a lower limit of the mean of each candidate; at this level none of the means lies below its own.

    A candidate whose values are all the same has that value as its limit.

    Args:
        values: [candidate][question], or an array of that shape; at least two questions.
        level: of all limits together, in (0, 1).
        seed: of the multipliers.
        resamples: draws of them, >= 1.

    Raises:
        BadInput: no candidate, fewer than two questions, or rows of unequal length.
        ConfigError: level or resamples out of range.
    """
    if not 0 < level < 1 or resamples < 1:
        raise ConfigError("level must be in (0, 1) and resamples at least 1")
    count = len(values[0]) if len(values) else 0
    if count < 2 or any(len(row) != count for row in values):
        raise BadInput("needs at least one candidate, and the same two or more questions of each")
    np = need("numpy", extra="bench", feature="limits of many means")
    array = np.asarray(values, dtype=float)
    means = array.mean(axis=1)
    errors = np.where(np.ptp(array, axis=1) > 0, array.std(axis=1, ddof=1) / math.sqrt(count), 0.0)
    varied = errors > 0
    if varied.any():
        standard = (array[varied] - means[varied, None]) / (errors[varied, None] * count)
        draws = np.random.default_rng(derive_seed(seed, "simultaneous")).standard_normal((resamples, count))
        reach = max(0.0, float(np.quantile((draws @ standard.T).max(axis=1), level)))
        means = means - reach * errors
    found: list[float] = means.tolist()
    return found
