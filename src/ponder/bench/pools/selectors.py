"""What a selection method would have chosen among recorded samples, by arrays: all problems and all n at once.

Source: the methods of `ponder.strategies`, whose rules these are, fallbacks included; the tests hold them to the
methods themselves. Here are majority votes, best-of-N (plain and weighted), Borda votes and self-certainty; any other
method that only draws samples is run on the replay model, and one that needs new calls is refused.
Cost: no model call. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ponder.bench.curve import Point
from ponder.bench.pools.pool import Block, Pool
from ponder.bench.pools.scoring import Judge
from ponder.core import registry
from ponder.core.errors import ConfigError
from ponder.core.registry import need
from ponder.numerics.selection import (
    best_of_first,
    borda_of_first,
    majority_of_first,
    weighted_vote_of_first,
)
from ponder.strategies.borda_voting import rule_of_thumb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["choices", "label_of", "scores_of", "way_of"]


def way_of(point: Point, pool: Pool) -> Literal["arrays", "greedy", "replay"]:
    """Return how a point is replayed: by arrays, from the greedy answers, or by the method on the replay model.

    Raises:
        ConfigError: the pool does not hold what the point needs, or the method makes calls that were not recorded.
    """
    made = registry.strategies.get(point.method).make(**point.settings)
    known = registry.parameters(made)
    calls: dict[str, int] = made.calls()
    if point.budget:
        raise ConfigError(f"{point.method}: a budget changes what is drawn; it is no matter of replay")
    if point.method == "greedy":
        if not pool.greedy.present.all():
            raise ConfigError("the pool holds no greedy answers: record them with --greedy")
        return "greedy"
    if set(calls) != {"policy"} or "n" not in known or calls["policy"] != known["n"]:
        raise ConfigError(
            f"{point.method} makes calls that no pool of samples holds: run it with `ponder bench` on a live model"
        )
    top = known.get("top_k") if point.method in ("borda_voting", "self_certainty") else 0
    if top and top > int(pool.facts.get("logprobs") or 0):
        raise ConfigError(
            f"{point.method} with top_k={top} needs as many likely tokens at each step, the pool holds"
            f" {int(pool.facts.get('logprobs') or 0)}: record with --logprobs {top}"
        )
    by_arrays = {
        "self_consistency": known.get("early_stop") == "none",
        "best_of_n": known.get("accept") is None,
        "borda_voting": not known.get("top_k"),
        "self_certainty": not known.get("top_k"),
    }.get(point.method, False)
    if point.verifier is not None and (by_arrays or registry.verifiers.get(point.verifier).access):
        scores_of(point, pool)  # refuses what was not recorded
    if point.method in ("borda_voting", "self_certainty") and by_arrays:
        np = need("numpy", extra="bench", feature="studying a pool")
        if np.isnan(pool.samples.certainty[:, :1]).all():
            raise ConfigError(f"{point.method} needs certainty, which the pool does not hold (top_k=K approximates it)")
    return "arrays" if by_arrays else "replay"


def label_of(point: Point) -> str:
    """Return under which label a pool keeps the scores that a point chooses by; "" for none."""
    return "" if point.verifier is None else Judge(name=point.verifier, settings=point.judging).label


def scores_of(point: Point, pool: Pool) -> NDArray[np.float64]:
    """Return the recorded scores [T, N] that a point chooses by.

    Raises:
        ConfigError: they were not recorded; the message says what was.
    """
    label = label_of(point)
    if label not in pool.samples.scores:
        held = ", ".join(pool.samples.scores) or "none"
        raise ConfigError(
            f"the pool holds no scores by {label!r} (it holds: {held}): `ponder record score {pool.name} --verifier"
            f" {label}`"
        )
    return pool.samples.scores[label]


def choices(point: Point, block: Block, sizes: Sequence[int]) -> NDArray[np.integer[Any]]:
    """Return the chosen sample among the first n, for each n of `sizes`: [T, S], -1 where nothing is chosen.

    Args:
        point: of a kind that `way_of` calls "arrays"; its own n is not looked at.
        block: the samples, in some order.
        sizes: in 1..N.
    """
    numpy = need("numpy", extra="bench", feature="studying a pool")
    known = registry.parameters(registry.strategies.get(point.method).make(**point.settings))
    groups = block.groups
    best: Any
    readable = numpy.where(groups >= 0, 0.0, numpy.nan)  # the first best of these is the first readable answer
    if point.method == "self_consistency":
        return majority_of_first(groups, sizes)
    if point.method == "best_of_n":
        scores = block.scores[label_of(point)]
        best = weighted_vote_of_first(groups, scores, sizes) if known["weighted"] else best_of_first(scores, sizes)
        found: NDArray[np.integer[Any]] = numpy.where(best < 0, best_of_first(readable, sizes), best)
        return found
    certain = block.certainty
    if point.method == "self_certainty":
        best = best_of_first(numpy.where(groups >= 0, certain, numpy.nan), sizes)
    else:
        powers = [rule_of_thumb(n) if known["power"] is None else known["power"] for n in sizes]
        best = borda_of_first(groups, certain, powers, sizes)
    chosen: NDArray[np.integer[Any]] = numpy.where(best < 0, best_of_first(certain, sizes), best)
    return chosen
