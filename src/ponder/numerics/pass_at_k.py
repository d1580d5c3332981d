"""What k samples are worth, estimated from n >= k recorded ones: pass@k, and the majority vote at k.

Source: pass@k, Chen et al. 2021, arXiv:2107.03374, equation 1; majority at k is our own exact count. Both are the mean
over all subsets of k of the n samples, so they are unbiased, and no subset is drawn.
Cost: pass@k at most n steps; majority at k about (its answer's count) x groups x k^2 integer products.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from fractions import Fraction

from ponder.core.errors import ConfigError

__all__ = ["majority_at_k", "pass_at_k"]


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Return the probability that at least one of k samples is right, when `correct` of n recorded ones are.

    Raises:
        ConfigError: not 1 <= k <= n, or not 0 <= correct <= n.
    """
    _check(k, n)
    if not 0 <= correct <= n:
        raise ConfigError(f"correct must be between 0 and n={n}, got {correct!r}")
    if n - correct < k:
        return 1.0
    # 1 - C(n - c, k) / C(n, k) as a product of factors below 1: no large numbers.
    return 1.0 - math.prod(1.0 - k / i for i in range(n - correct + 1, n + 1))


def majority_at_k(answers: Sequence[Hashable | None], k: int, *, correct: Hashable) -> float:
    """Return the probability that the majority of k samples is the answer `correct` (maj@k, cons@k).

    Args:
        answers: the n recorded ones (group ids); None forms no group.
        k: samples that vote, in random order; equal counts go to the answer seen first.
        correct: the right answer's group.

    Raises:
        ConfigError: not 1 <= k <= n.
    """
    n = len(answers)
    _check(k, n)
    groups = Counter(answer for answer in answers if answer is not None)
    ours = groups.pop(correct, 0)
    silent = n - ours - groups.total()
    won = Fraction(0)  # the counts do not fit a float
    for votes in range(1, min(ours, k) + 1):
        ways = _ways(list(groups.values()), silent, others=k - votes, most=votes)
        # Groups with equal counts are each seen first equally often.
        won += math.comb(ours, votes) * sum(Fraction(count, ties + 1) for ties, count in enumerate(ways))
    return float(won / math.comb(n, k))


def _ways(sizes: Sequence[int], silent: int, *, others: int, most: int) -> list[int]:
    """Count the ways to draw `others` samples with at most `most` of each group, by how many groups reach `most`."""
    table = {(0, 0): 1}  # (samples drawn, groups that reach `most`) -> ways
    for size in sizes:
        grown: Counter[tuple[int, int]] = Counter()
        for (drawn, ties), count in table.items():
            for take in range(min(size, most, others - drawn) + 1):
                grown[drawn + take, ties + (take == most)] += count * math.comb(size, take)
        table = grown
    ways = [0] * (len(sizes) + 1)
    for (drawn, ties), count in table.items():
        ways[ties] += count * math.comb(silent, others - drawn)
    return ways


def _check(k: int, n: int) -> None:
    if not 1 <= k <= n:
        raise ConfigError(f"k must be between 1 and n={n}, got {k!r}")
