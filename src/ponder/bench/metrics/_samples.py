"""Graded samples of the largest runs of a curve, and a statistic of k of them for each k."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ponder.bench.metrics.metric import Measure, curves, mean_measure, missing
from ponder.bench.rows import Row
from ponder.core.errors import ConfigError

UNGRADED = "no run kept the grades of its samples"


class Sample(NamedTuple):
    """One graded sample; `group` numbers equal answers, None where nothing can be read."""

    group: int | None
    right: bool


def samples_of(row: Row) -> list[Sample]:
    """Return the graded samples of a run, in sample order; none where it kept none."""
    kept = row.evidence
    if kept is None or not kept.grades:
        return []
    return [Sample(g, right) for g, right in zip(kept.groups, kept.grades, strict=True) if right is not None]


def check_ks(ks: Sequence[int]) -> tuple[int, ...]:
    """Return sizes as a tuple, or refuse them."""
    if not ks or any(k < 1 for k in ks):
        raise ConfigError(f"ks must hold at least one size, each at least 1, got {ks!r}")
    return tuple(ks)


def at_each_k(
    name: str, rows: Sequence[Row], ks: Sequence[int], statistic: Callable[[Sequence[Sample], int], float], seed: int
) -> list[Measure]:
    """Return the mean statistic of each curve for each k that its largest runs can show."""
    found = []
    for group, places in curves(rows).items():
        pools = [(row.problem, pool) for row in places[max(places)] if (pool := samples_of(row))]
        if not pools:
            found.append(missing(f"{name}@k", group, UNGRADED, unit="share"))
        everyone = len({problem for problem, _ in pools})
        for k in ks:
            enough = [(problem, pool) for problem, pool in pools if len(pool) >= k]
            if enough:
                prompts = [problem for problem, _ in enough]
                values = [statistic(pool, k) for _, pool in enough]
                left = everyone - len(set(prompts))
                note = f"{left} prompts with fewer than {k} graded samples left out" if left else ""
                at = group._replace(n=k)
                found.append(
                    mean_measure(f"{name}@k", at, values, prompts, unit="share", seed=seed, share=True, note=note)
                )
    return found
