"""Selection by arrays: what every method would choose among the first n of N recorded samples, for many tasks at once.

Source: the same papers and rules as `votes`, `pass_at_k` and their twins there, one question at a time: ties go to the
answer (or sample) seen first, a score that is missing (NaN) never wins and adds nothing, sums run in sample order, so
that the choices are the twins' to the last bit. Majority votes at k: Wang et al. 2022, arXiv:2203.11171; pass@k: Chen
et al. 2021, arXiv:2107.03374, equation 1; Borda votes: Kang et al. 2025, arXiv:2502.18581 (card 26).
Shapes: T tasks, N samples in sample order, S sizes. `groups` [T, N] holds for each sample the position of the first
one with an equal answer, -1 where nothing can be read; choices [T, S] are positions of samples, -1 where nothing can
be chosen. Sizes are numbers of samples in 1..N.
Cost: majority and best-of-N one pass for all sizes; weighted votes T N^2 comparisons; Borda a sort for each size;
consensus at k a polynomial product for each count of votes. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints: TypeAlias = NDArray[np.integer[Any]]
    Floats: TypeAlias = NDArray[np.floating[Any]]
    Bools: TypeAlias = NDArray[np.bool_]

__all__ = [
    "best_at",
    "best_of_first",
    "borda_of_first",
    "consensus_at",
    "majority_of_first",
    "pass_at",
    "weighted_vote_of_first",
]

_MOST = 1000  # samples up to which binomial coefficients fit a float


def majority_of_first(groups: Ints, sizes: Sequence[int]) -> Ints:
    """Return the first sample of the most frequent answer among the first n, for each n of `sizes`: [T, S].

    Raises:
        BadInput: groups that are not first positions.
        ConfigError: a size outside 1..N.
    """
    np, (tasks, width) = _numpy(), groups.shape
    _check(groups, sizes)
    rows = np.arange(tasks)
    counts = np.zeros((tasks, width + 1), dtype=np.int32)  # the last column takes what has no answer
    leader = np.full(tasks, width)
    out = np.empty((tasks, width), dtype=np.int32)
    for at in range(width):
        group = np.where(groups[:, at] < 0, width, groups[:, at])
        counts[rows, group] += 1
        counts[:, width] = 0
        ours, best = counts[rows, group], counts[rows, leader]
        leader = np.where((ours > best) | ((ours == best) & (group < leader)), group, leader)
        out[:, at] = leader
    return _at(np.where(out == width, -1, out), sizes)


def best_of_first(scores: Floats, sizes: Sequence[int]) -> Ints:
    """Return the first best-scored sample among the first n: [T, S].

    Args:
        scores: [T, N]; NaN is missing.
        sizes: the n.

    Raises:
        ConfigError: a size outside 1..N.
    """
    np, (tasks, width) = _numpy(), scores.shape
    _check_sizes(sizes, width)
    best = np.full(tasks, -1, dtype=np.int32)
    highest = np.full(tasks, -math.inf)
    out = np.empty((tasks, width), dtype=np.int32)
    for at in range(width):
        score = scores[:, at]
        better = (score > highest) | ((best < 0) & ~np.isnan(score))
        best, highest = np.where(better, at, best), np.where(better, score, highest)
        out[:, at] = best
    return _at(out, sizes)


def weighted_vote_of_first(groups: Ints, scores: Floats, sizes: Sequence[int]) -> Ints:
    """Return the best-scored sample of the answer with the largest summed score among the first n: [T, S].

    Args:
        groups: [T, N].
        scores: [T, N]; NaN is missing; they may be negative.
        sizes: the n.

    Raises:
        BadInput: groups that are not first positions, or another shape of scores.
        ConfigError: a size outside 1..N.
    """
    np, (tasks, width) = _numpy(), groups.shape
    _check(groups, sizes)
    _check_shape(groups, scores)
    rows = np.arange(tasks)
    wanted = set(sizes)
    # An answer takes the column of the first sample that gives it with a score: that is the order of ties.
    column = np.full((tasks, width), -1)
    sums = np.zeros((tasks, width))
    seen = np.zeros((tasks, width), dtype=bool)
    best = np.full((tasks, width), -1, dtype=np.int32)
    out = np.full((tasks, width), -1, dtype=np.int32)
    for at in range(width):
        held = (groups[:, at] >= 0) & ~np.isnan(scores[:, at])
        row, group, score = rows[held], groups[held, at], scores[held, at]
        column[row, group] = place = np.where(column[row, group] < 0, at, column[row, group])
        with np.errstate(invalid="ignore"):  # infinities of both signs add up to a sum that is missing
            sums[row, place] += score
        seen[row, place] = True
        before = best[row, place]
        best[row, place] = np.where((before < 0) | (score > scores[row, before]), at, before)
        if at + 1 in wanted:
            out[:, at] = _leaders(sums, seen, best)
    return _at(out, sizes)


def borda_of_first(groups: Ints, confidences: Floats, powers: Sequence[float], sizes: Sequence[int]) -> Ints:
    """Return the first sample of the answer with the most Borda votes among the first n: [T, S].

    Args:
        groups: [T, N].
        confidences: [T, N]; a missing one (NaN) ranks below all others and keeps its rank.
        powers: p for each size, >= 0.
        sizes: the n.

    Raises:
        BadInput: groups that are not first positions, or another shape of confidences.
        ConfigError: a size outside 1..N, or a power that is negative or too large for a float.
    """
    np, tasks = _numpy(), len(groups)
    _check(groups, sizes)
    _check_shape(groups, confidences)
    if len(powers) != len(sizes) or any(not power >= 0 for power in powers):
        raise ConfigError(f"each size needs a power of at least 0, got {list(powers)!r}")
    known = np.where(np.isnan(confidences), -math.inf, confidences)
    out: Ints = np.full((tasks, len(sizes)), -1, dtype=np.int32)
    for place, (n, power) in enumerate(zip(sizes, powers, strict=True)):
        try:
            votes = np.array([float(n - rank) ** power for rank in range(n)])
        except OverflowError:
            raise ConfigError(f"{n} ** {power:g} Borda votes do not fit a number: take a smaller power") from None
        weights = np.empty((tasks, n))
        np.put_along_axis(weights, np.argsort(-known[:, :n], axis=1, kind="stable"), votes[None, :], axis=1)
        row, sample = np.nonzero(groups[:, :n] >= 0)
        group = groups[row, sample]
        # bincount adds in the order given: sample order within each task, as the twin does.
        sums = np.bincount(row * n + group, weights=weights[row, sample], minlength=tasks * n).reshape(tasks, n)
        seen = np.zeros((tasks, n), dtype=bool)
        seen[row, group] = True
        out[:, place] = _leaders(sums, seen, np.broadcast_to(np.arange(n), (tasks, n)))
    return out


def pass_at(correct: Ints, n: int, sizes: Sequence[int]) -> Floats:
    """Return pass@k for each k of `sizes`, unbiased: [T, S].

    Args:
        correct: [T], right ones among the n samples of each task, in 0..n.
        n: samples of each task.
        sizes: the k, in 1..n.

    Raises:
        BadInput: counts outside 0..n.
        ConfigError: a size outside 1..n.
    """
    np = _numpy()
    _check_sizes(sizes, n)
    if ((correct < 0) | (correct > n)).any():
        raise BadInput(f"right samples must be between 0 and {n}")
    drawn = np.arange(n)
    # All k drawn are wrong: a product of shares below 1, so that there are no large numbers.
    wrong = np.cumprod(np.maximum(n - correct[:, None] - drawn, 0) / (n - drawn), axis=1)
    found: Floats = 1 - wrong
    return found[:, [k - 1 for k in sizes]]


def consensus_at(groups: Ints, right: Bools, sizes: Sequence[int]) -> Floats:
    """Return the probability that the majority of k samples drawn from all N is right (cons@k, maj@k): [T, S].

    The mean over all subsets, as `pass_at_k.majority_at_k` counts it, in floats: relative error about 1e-12.

    Args:
        groups: [T, N]; equal counts go to the answer seen first, each equally often.
        right: [T, N], whether a sample is right; an answer is right if its first sample is.
        sizes: the k.

    Raises:
        BadInput: groups that are not first positions, or another shape of `right`.
        ConfigError: a size outside 1..N, or more than 1,000 samples.
    """
    np, (tasks, width) = _numpy(), groups.shape
    _check(groups, sizes)
    _check_shape(groups, right)
    if width > _MOST:
        raise ConfigError(f"consensus at k is counted for at most {_MOST:,} samples of a task, got {width:,}")
    binomial = np.array([[float(math.comb(n, k)) for k in range(width + 1)] for n in range(width + 1)])
    kinds: dict[tuple[tuple[int, ...], int, int], Floats] = {}  # tasks with equal counts share their curve
    out: Floats = np.zeros((tasks, len(sizes)))
    for task in range(tasks):
        counts = np.bincount(groups[task][groups[task] >= 0], minlength=width)
        silent = width - int(counts.sum())
        present = [int(group) for group in np.flatnonzero(counts)]
        for group in present:
            if right[task, group]:
                others = tuple(sorted(int(counts[other]) for other in present if other != group))
                kind = (others, int(counts[group]), silent)
                if kind not in kinds:
                    kinds[kind] = _consensus(others, kind[1], silent, binomial)[list(sizes)]
                out[task] += kinds[kind]
    return out


def best_at(scores: Floats, right: Bools, sizes: Sequence[int]) -> Floats:
    """Return the probability that the best-scored of k samples drawn from all N is right: [T, S].

    The mean over all subsets: the sample of rank r wins in C(N - r, k - 1) of the C(N, k) subsets, r = 1 the best.

    Args:
        scores: [T, N]; NaN is missing and never wins; equal scores go to either equally often.
        right: [T, N], whether a sample is right.
        sizes: the k.

    Raises:
        BadInput: another shape of `right`.
        ConfigError: a size outside 1..N.
    """
    np, (tasks, width) = _numpy(), scores.shape
    _check_shape(scores, right)
    _check_sizes(sizes, width)
    out: Floats = np.zeros((tasks, len(sizes)))
    order = np.lexsort((-scores, np.isnan(scores)))  # each row by itself, missing ones last
    ranked = np.take_along_axis(scores, order, axis=1)
    good = np.take_along_axis(right & ~np.isnan(scores), order, axis=1).astype(float)
    # Ties share what their places win: each sample counts by the mean of its run of equal scores.
    change = np.ones((tasks, width), dtype=bool)
    change[:, 1:] = (ranked[:, 1:] != ranked[:, :-1]) & ~(np.isnan(ranked[:, 1:]) & np.isnan(ranked[:, :-1]))
    runs = np.cumsum(change, axis=1) - 1 + np.arange(tasks)[:, None] * width
    sums = np.bincount(runs.ravel(), weights=good.ravel(), minlength=tasks * width)
    members = np.bincount(runs.ravel(), minlength=tasks * width)
    share = (sums / np.maximum(members, 1))[runs]
    for place, k in enumerate(sizes):
        # C(N - r, k - 1) / C(N, k), each from the one before it.
        wins = np.zeros(width)
        wins[0] = k / width
        for rank in range(1, width - k + 1):
            wins[rank] = wins[rank - 1] * (width - rank - k + 1) / (width - rank)
        out[:, place] = share @ wins
    return out


def _consensus(others: Sequence[int], ours: int, silent: int, binomial: Floats) -> Floats:
    """Return for each k in 0..N the probability that the group of size `ours` wins."""
    np, width = _numpy(), len(binomial) - 1
    won: Floats = np.zeros(width + 1)
    for votes in range(1, ours + 1):
        reach = sum(size >= votes for size in others)
        table = np.zeros((reach + 1, width + 1))  # [other groups that reach `votes`, samples drawn] -> ways
        table[0, : silent + 1] = binomial[silent, : silent + 1]
        for size in others:
            below = min(size, votes - 1)
            grown = _times(table, binomial[size, : below + 1])
            if size >= votes:
                grown[1:, votes:] += table[:-1, : width + 1 - votes] * binomial[size, votes]
            table = grown
        ways = (table / np.arange(1, reach + 2)[:, None]).sum(axis=0)
        won[votes:] += binomial[ours, votes] * ways[: width + 1 - votes]
    won /= binomial[width]
    return won


def _times(table: Floats, factor: Floats) -> Floats:
    """Multiply each row, a polynomial, by `factor`; powers beyond the row cannot occur."""
    out: Floats = table * factor[0]
    for power in range(1, len(factor)):
        out[:, power:] += table[:, :-power] * factor[power]
    return out


def _leaders(sums: Floats, seen: Bools, samples: Ints) -> Ints:
    """Return the sample of the first largest sum of each row; NaN sums and columns not seen cannot win."""
    np = _numpy()
    able = seen & ~np.isnan(sums)
    keys = np.where(able, sums, -math.inf)
    top = keys.max(axis=1, keepdims=True)
    lead = (able & (keys == top)).argmax(axis=1)
    rows = np.arange(len(sums))
    chosen: Ints = np.where(able[rows, lead], samples[rows, lead], -1)
    return chosen


def _at(choices: Ints, sizes: Sequence[int]) -> Ints:
    return choices[:, [n - 1 for n in sizes]]


def _numpy() -> Any:
    return need("numpy", extra="bench", feature="selection by arrays")


def _check(groups: Ints, sizes: Sequence[int]) -> None:
    np, (tasks, width) = _numpy(), groups.shape
    _check_sizes(sizes, width)
    firsts = np.where(groups < 0, np.arange(width), groups)
    if tasks and ((firsts > np.arange(width)).any() or (np.take_along_axis(firsts, firsts, axis=1) != firsts).any()):
        raise BadInput("groups must hold the position of the first sample with an equal answer, or -1")


def _check_shape(groups: Ints | Floats, values: Any) -> None:
    if values.shape != groups.shape:
        raise BadInput(f"groups of shape {groups.shape} need values of the same shape, got {values.shape}")


def _check_sizes(sizes: Sequence[int], width: int) -> None:
    if any(not 1 <= n <= width for n in sizes):
        raise ConfigError(f"sizes must be between 1 and the {width} samples of a task, got {list(sizes)!r}")
