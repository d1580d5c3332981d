"""Which positions a decode step attends to when it may not attend to all: masks over attention logits.

The first tokens (sink) and the last ones (local) are always kept; of the rest, those with the best logits. Logits are
averaged over the query heads that share keys before anything is chosen, so that all of them read the same keys.
Paper: Sadhukhan et al. 2025, arXiv:2506.05333 (card 54), after the masks of its released code.
Differs: of equal scores the earlier position is kept. Strided blocks overlap; as released, twice as many are taken and
the first positions of their union kept, up to the budget.
Cost: one sort of the scores. Needs: numpy (extra `bench`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Logits: TypeAlias = NDArray[np.floating]  # [query heads, positions]
    Keep: TypeAlias = NDArray[np.bool_]  # of the same shape

__all__ = ["block_mask", "local_mask", "masked_softmax", "strided_block_mask", "topk_mask"]


def local_mask(logits: Logits, *, sink: int = 4, local: int = 0) -> Keep:
    """Keep the first `sink` and the last `local` positions only.

    Args:
        logits: [query heads, positions] of one decode step.
        sink: first positions kept, >= 0.
        local: last positions kept, >= 0.

    Raises:
        BadInput: `logits` is no matrix.
        ConfigError: a number below 0.
    """
    np, length = _length(logits, sink, local)
    at = np.arange(length)
    kept: Keep = np.broadcast_to((at < sink) | (at >= length - local), np.shape(logits)).copy()
    return kept


def topk_mask(logits: Logits, *, kv_heads: int, budget: int, sink: int = 4, local: int = 0) -> Keep:
    """Keep the `budget` best positions as well; all of them, where there are no more than are kept.

    Args:
        logits: [query heads, positions] of one decode step; neighbouring query heads share keys.
        kv_heads: >= 1, divides the query heads.
        budget: positions kept beside sink and local ones, >= 1.
        sink: first positions kept, >= 0.
        local: last positions kept, >= 0.

    Raises:
        BadInput: `logits` is no matrix.
        ConfigError: a number out of its range.
    """
    np, length = _length(logits, sink, local)
    _check_counts(budget=budget)
    if length <= sink + budget + local:
        return local_mask(logits, local=length)
    scores = _pooled(logits, kv_heads)[:, sink : length - local]
    kept = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(kept, _best(scores, budget), True, axis=1)
    return _around(logits, kept, sink, kv_heads, local_mask(logits, sink=sink, local=local))


def block_mask(logits: Logits, *, kv_heads: int, block_size: int, blocks: int, sink: int = 4, local: int = 0) -> Keep:
    """Keep the `blocks` blocks with the best mean as well; what does not fill a block joins the local positions.

    Args:
        logits: as for `topk_mask`.
        kv_heads: as for `topk_mask`.
        block_size: positions in a block, >= 1.
        blocks: kept, >= 1.
        sink: first positions kept, >= 0.
        local: last positions kept, >= 0.

    Raises:
        BadInput: `logits` is no matrix.
        ConfigError: a number out of its range.
    """
    return strided_block_mask(
        logits, kv_heads=kv_heads, block_size=block_size, blocks=blocks, stride=block_size, sink=sink, local=local
    )


def strided_block_mask(
    logits: Logits, *, kv_heads: int, block_size: int, blocks: int, stride: int, sink: int = 4, local: int = 0
) -> Keep:
    """Keep blocks that begin at every `stride`-th position; where they overlap, as many positions as `blocks` hold.

    Args:
        logits: as for `topk_mask`.
        kv_heads: as for `topk_mask`.
        block_size: positions in a block, >= 1.
        blocks: whose positions are kept, >= 1.
        stride: between the beginnings of blocks, in [1, block_size].
        sink: first positions kept, >= 0.
        local: last positions kept, >= 0.

    Raises:
        BadInput: `logits` is no matrix.
        ConfigError: a number out of its range.
    """
    np, length = _length(logits, sink, local)
    _check_counts(block_size=block_size, blocks=blocks, stride=stride)
    if stride > block_size:
        raise ConfigError("a stride longer than the block would skip positions")
    if length <= -(-(sink + local + blocks * block_size) // block_size) * block_size:
        return local_mask(logits, local=length)
    dynamic = (length - sink - local) // block_size * block_size
    scores = _pooled(logits, kv_heads)[:, sink : sink + dynamic]
    windows = np.lib.stride_tricks.sliding_window_view(scores, block_size, axis=1)[:, ::stride]
    wanted = blocks if stride == block_size else min(2 * blocks, windows.shape[1])
    chosen = _best(windows.mean(axis=-1), wanted)
    positions = (chosen[..., None] * stride + np.arange(block_size)).reshape(len(scores), -1)
    kept = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(kept, positions, True, axis=1)
    kept &= kept.cumsum(axis=1) <= blocks * block_size
    outer = local_mask(logits, sink=sink, local=length - sink - dynamic)
    return _around(logits, kept, sink, kv_heads, outer)


def masked_softmax(logits: Logits, keep: Keep) -> Logits:
    """Return the softmax over the kept positions of each head, 0 elsewhere.

    Raises:
        BadInput: a head keeps nothing, or the shapes differ.
    """
    np = need("numpy", extra="bench", feature="sparse attention masks")
    logits = np.asarray(logits, dtype=float)
    if logits.shape != np.shape(keep) or not np.any(keep, axis=-1).all():
        raise BadInput("every head must keep a position, out of as many as there are logits")
    shifted = np.where(keep, logits, -np.inf)
    weights = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    shares: Logits = weights / weights.sum(axis=-1, keepdims=True)
    return shares


def _length(logits: Logits, sink: int, local: int) -> tuple[Any, int]:
    """Return numpy and the number of positions."""
    np = need("numpy", extra="bench", feature="sparse attention masks")
    shape = np.shape(logits)
    if len(shape) != 2 or 0 in shape:
        raise BadInput(f"logits must be [query heads, positions], got the shape {shape}")
    if min(sink, local) < 0:
        raise ConfigError("sink and local must be at least 0")
    return np, shape[1]


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value!r}")


def _pooled(logits: Logits, kv_heads: int) -> Logits:
    """Return the mean logits of the query heads that share keys, [kv heads, positions]."""
    np = need("numpy", extra="bench", feature="sparse attention masks")
    logits = np.asarray(logits)
    if kv_heads < 1 or len(logits) % kv_heads:
        raise ConfigError(f"{len(logits)} query heads cannot share {kv_heads} key heads evenly")
    pooled: Logits = logits.reshape(kv_heads, -1, logits.shape[1]).mean(axis=1)
    return pooled


def _best(scores: Logits, count: int) -> NDArray[np.intp]:
    """Return the places of the `count` highest scores of each row, the earlier of equal ones."""
    return (-scores).argsort(axis=1, kind="stable")[:, :count]


def _around(logits: Logits, kept: Keep, sink: int, kv_heads: int, outer: Keep) -> Keep:
    """Put the choice of each key head, from position `sink` on, into the mask of its query heads."""
    rows = kept.repeat(len(logits) // kv_heads, axis=0)
    outer[:, sink : sink + rows.shape[1]] |= rows
    return outer
