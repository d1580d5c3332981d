"""The same samples in another order: what a run would have seen, had they come so.

The first n of a random order are n samples drawn without replacement, so a mean over many orders estimates the mean
over all subsets without bias. Order 0 is the one that was recorded, in which smaller n are prefixes of larger ones.
Source: our own. Cost: a sort for each problem. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from ponder.bench.pools.pool import PLAIN, Block, Costs
from ponder.core.registry import need
from ponder.core.seeds import derive

__all__ = ["in_order"]


def in_order(block: Block, order: int, *, seed: int = 0) -> Block:
    """Return a block in an order of its own for each problem; order 0 as recorded.

    Args:
        block: [T, N] samples; those that are there stay before the places without a sample.
        order: which one, >= 0; each has its own random stream.
        seed: of the streams.
    """
    if order == 0:
        return block
    np = need("numpy", extra="bench", feature="studying a pool")
    tasks, width = block.groups.shape
    stream = np.random.default_rng(derive(seed, "pool", "order", order).getrandbits(64))
    keys = np.where(np.arange(width) < block.present[:, None], stream.random((tasks, width)), 2.0)
    places = np.argsort(keys, axis=1, kind="stable")

    def moved(array: Any) -> Any:
        return np.take_along_axis(array, places, axis=1)

    def costs(found: Costs) -> Costs:
        return Costs(**{item.name: moved(getattr(found, item.name)) for item in fields(Costs)})

    plain = {name: moved(getattr(block, name)) for name in PLAIN if name not in ("present", "groups")}
    return replace(
        block,
        **plain,
        groups=_regrouped(moved(block.groups)),
        costs=costs(block.costs),
        scores={label: moved(array) for label, array in block.scores.items()},
        judging={label: {role: costs(one) for role, one in roles.items()} for label, roles in block.judging.items()},
    )


def _regrouped(groups: Any) -> Any:
    """Name each group after its first place in the new order."""
    np = need("numpy", extra="bench", feature="studying a pool")
    tasks, width = groups.shape
    rows, places = np.broadcast_to(np.arange(tasks)[:, None], groups.shape), np.arange(width)
    first = np.full((tasks, width + 1), width, dtype=groups.dtype)
    np.minimum.at(first, (rows, groups), np.broadcast_to(places, groups.shape))  # -1 falls into the last column
    return np.where(groups < 0, -1, first[rows, groups]).astype(groups.dtype)
