"""Accuracy against n from a pool, with intervals, by arrays: all problems and sizes at once.

A mean over problems. In the recorded order the points are nested prefixes, as in a live bench; over several orders
each problem counts by its mean, which estimates the mean over all subsets of n without bias. Where the mean over all
subsets has a closed form (majority votes: cons@n; plain best-of-N; self-certainty) it is given beside.
Source: our own; pass@k of Chen et al. 2021, arXiv:2107.03374. Intervals (95 %) resample problems, all points with the
same draws; where every problem came out the same resampling would state no doubt: there the Wilson interval stands.
Cost: no model call. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ponder.bench.curve import Point
from ponder.bench.pools.orders import in_order
from ponder.bench.pools.pool import Block, Pool
from ponder.bench.pools.selectors import choices, label_of, way_of
from ponder.core import registry
from ponder.core.errors import ConfigError
from ponder.core.registry import need
from ponder.core.seeds import derive_seed
from ponder.numerics.intervals import Interval, wilson
from ponder.numerics.selection import best_at, consensus_at, pass_at

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Curve", "curve", "oracle"]

_RESAMPLES = 2000
_MOST_FOR_CONSENSUS = 256  # samples a problem up to which cons@n is counted: its cost grows with the cube


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points of one method.

    Attributes:
        name: of the curve.
        sizes: n of each point.
        problems: how many have so many samples and a grade.
        accuracy: with its interval; None where no problem counts.
        exact: the mean over all subsets of n, where it has a closed form, else None.
        tokens: mean nominal tokens of the policy for a problem.
        counted: whether the tokens of all samples are known.
        self_graded: whether the method chose by the program that grades.
    """

    name: str
    sizes: tuple[int, ...]
    problems: tuple[int, ...]
    accuracy: tuple[Interval | None, ...]
    exact: tuple[float | None, ...]
    tokens: tuple[float | None, ...]
    counted: bool
    self_graded: bool = False


def curve(
    pool: Pool,
    point: Point,
    sizes: Sequence[int],
    *,
    name: str = "",
    orders: int = 1,
    seed: int = 0,
    exact: bool = True,
) -> Curve:
    """Return accuracy against n of a method that `way_of` calls "arrays" or "greedy" (one point).

    Args:
        pool: the samples.
        point: the method; its own n is not looked at.
        sizes: the n, >= 1; problems with fewer samples do not count there.
        name: of the curve; by default the point's.
        orders: how many orders are averaged, >= 1.
        seed: of orders and resampling.
        exact: whether to count means over all subsets.

    Raises:
        ConfigError: sizes or orders out of range, or the pool lacks what the method needs.
    """
    np = need("numpy", extra="bench", feature="studying a pool")
    greedy = way_of(point, pool) == "greedy"
    block = pool.greedy if greedy else pool.samples
    sizes = [1] if greedy else list(sizes)
    if orders < 1:
        raise ConfigError(f"orders must be at least 1, got {orders!r}")
    if not sizes or min(sizes) < 1 or max(sizes) > block.width:
        raise ConfigError(f"sizes must be between 1 and the {block.width} samples that the pool holds, got {sizes!r}")
    sums, tokens = np.zeros((len(pool.ids), len(sizes))), np.zeros((len(pool.ids), len(sizes)))
    turns = 1 if greedy else orders
    for order in range(turns):
        moved = in_order(block, order, seed=seed)
        chosen = np.zeros((len(pool.ids), 1), dtype=int) if greedy else choices(point, moved, sizes)
        grades = np.take_along_axis(moved.grades, np.maximum(chosen, 0), axis=1)
        sums += np.where(chosen < 0, 0.0, grades == 1)
        spent = np.cumsum(moved.costs.prompt_tokens + moved.costs.completion_tokens, axis=1)
        tokens += spent[:, [n - 1 for n in sizes]]
    gradable: Any = (block.grades >= 0).any(axis=1)
    here: Any = gradable[:, None] & (block.present[:, None] >= np.array(sizes))
    right = np.where(here, sums / turns, np.nan)
    problems = here.sum(axis=0)
    known = block.costs.exact[np.arange(block.width) < block.present[:, None]]
    label = label_of(point)
    return Curve(
        name=name or point.curve,
        sizes=tuple(sizes),
        problems=tuple(problems.tolist()),
        accuracy=tuple(_intervals(right, seed)),
        exact=_exact(point, block, sizes, here) if exact and not greedy else (None,) * len(sizes),
        tokens=tuple(
            float(tokens[here[:, at], at].mean() / turns) if problems[at] else None for at in range(len(sizes))
        ),
        counted=bool(known.all()),
        self_graded=bool(label) and any(grader == point.verifier for grader in pool.graders),
    )


def oracle(pool: Pool, sizes: Sequence[int]) -> list[float | None]:
    """Return pass@k over the problems with a grade and k samples, unbiased; it uses gold, and no method can have it."""
    np, block = need("numpy", extra="bench", feature="studying a pool"), pool.samples
    out: list[float | None] = []
    right = (block.grades == 1).sum(axis=1)
    gradable = (block.grades >= 0).any(axis=1)
    for k in sizes:
        total, count = 0.0, 0
        for held in np.unique(block.present[gradable & (block.present >= k)]).tolist():
            rows = gradable & (block.present == held)
            total += float(pass_at(right[rows], held, [k]).sum())
            count += int(rows.sum())
        out.append(total / count if count else None)
    return out


def _exact(point: Point, block: Block, sizes: Sequence[int], here: NDArray[np.bool_]) -> tuple[float | None, ...]:
    """Return the mean over all subsets for each size, where it has a closed form and all problems have N samples."""
    np = need("numpy", extra="bench", feature="studying a pool")
    rows = here.any(axis=1)
    if not rows.any() or (block.present[rows] < block.width).any():
        return (None,) * len(sizes)
    groups, right = block.groups[rows], block.grades[rows] == 1
    known = registry.parameters(registry.strategies.get(point.method).make(**point.settings))
    if point.method == "self_consistency":
        if block.width > _MOST_FOR_CONSENSUS:
            return (None,) * len(sizes)
        means = consensus_at(groups, right, sizes).mean(axis=0)
    elif point.method == "self_certainty":
        # Readable answers first, the most certain ones of them first; where there are none, the most certain output.
        means = best_at(_ranked(block.certainty[rows], groups >= 0), right, sizes).mean(axis=0)
    elif point.method == "best_of_n" and not known["weighted"]:
        scores = block.scores[label_of(point)][rows]
        if (np.isnan(scores) & (groups >= 0)).any():
            return (None,) * len(sizes)  # then a subset may have no score, and the first readable answer is taken
        means = best_at(scores, right, sizes).mean(axis=0)
    else:
        return (None,) * len(sizes)
    return tuple(float(mean) for mean in means)


def _ranked(values: NDArray[np.float64], first: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return scores that order by `values`, with those marked `first` above all others; NaN stays NaN."""
    np = need("numpy", extra="bench", feature="studying a pool")
    keys = np.where(np.isnan(values), -np.inf, values)
    order = np.argsort(keys, axis=1, kind="stable")
    ordered = np.take_along_axis(keys, order, axis=1)
    steps = np.cumsum(np.diff(ordered, axis=1, prepend=ordered[:, :1]) > 0, axis=1)  # equal values share a rank
    ranks = np.empty_like(keys)
    np.put_along_axis(ranks, order, steps.astype(float), axis=1)
    ranked: Any = np.where(np.isnan(values), np.nan, ranks + first * (values.shape[1] + 1))
    return ranked  # type: ignore[no-any-return]  # numpy is imported late


def _intervals(right: NDArray[np.float64], seed: int) -> list[Interval | None]:
    """Return mean and interval of each column of [T, S]; NaN does not count."""
    np = need("numpy", extra="bench", feature="studying a pool")
    tasks, held = len(right), ~np.isnan(right)
    stream = np.random.default_rng(derive_seed(seed, "pool", "bootstrap"))
    weights = stream.multinomial(tasks, np.full(tasks, 1 / tasks), size=_RESAMPLES).astype(float) if tasks else None
    out: list[Interval | None] = []
    drawn: Any = None if weights is None else (weights @ np.where(held, right, 0.0), weights @ held.astype(float))
    for at in range(right.shape[1]):
        own = right[held[:, at], at]
        if not len(own):
            out.append(None)
        elif own.min() == own.max():
            low, high = wilson(float(own.sum()), len(own))[1:]
            out.append(Interval(float(own.mean()), low, high))
        else:
            sums, counts = drawn[0][:, at], drawn[1][:, at]
            means = sums[counts > 0] / counts[counts > 0]
            low, high = np.quantile(means, [0.025, 0.975])
            out.append(Interval(float(own.mean()), float(low), float(high)))
    return out
