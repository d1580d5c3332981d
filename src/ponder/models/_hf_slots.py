"""A key-value cache of independent rows: every row starts at slot 0 and is as long as its own text.

Rows of different lengths share one forward pass without left padding: a row writes its new keys at its own length,
the mask lets each query see the slots up to its own, and positions are counted from the row's start. So a row's
numbers do not depend on how long its neighbours are, a finished row is replaced by copying a prompt over it, and one
function serves prefill, decoding and scoring.

Source: our own. Needs: the extra `torch`.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from ponder.core.errors import BadInput

__all__ = ["Network", "Slots"]

# Buffers grow by so many slots at a time: a copy of the whole cache every 64 steps is lost in the steps' cost.
_GROWTH = 64


class Slots(Cache):  # type: ignore[misc]  # transformers is untyped here
    """The keys and values of up to `rows` texts.

    Attributes:
        lengths: tokens held by each active row, in row order.
    """

    def __init__(self, layers: int, rows: int) -> None:
        self.capacity = rows
        self.lengths: list[int] = []
        self.write: torch.Tensor = torch.empty(0)
        self.span = 0
        super().__init__(layers=[_Layer(self) for _ in range(layers)])

    def put(self, source: Slots, *, copies: int = 1, length: int | None = None) -> None:
        """Add rows that hold the first `length` tokens of row 0 of `source` (all of them by default)."""
        length = source.lengths[0] if length is None else length
        first = len(self.lengths)
        self.lengths += [length] * copies
        for mine, other in zip(self.layers, source.layers, strict=True):
            mine.reserve(other.keys, other.values, first + copies, length)
            mine.keys[first : first + copies, :, :length] = other.keys[0, :, :length]
            mine.values[first : first + copies, :, :length] = other.values[0, :, :length]

    def drop(self, row: int) -> None:
        """Remove a row; the last row takes its place."""
        last = len(self.lengths) - 1
        length = self.lengths.pop()
        if row == last:
            return
        self.lengths[row] = length
        for layer in self.layers:
            layer.keys[row, :, :length] = layer.keys[last, :, :length]
            layer.values[row, :, :length] = layer.values[last, :, :length]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the length of the longest row."""
        return max(self.lengths, default=0)


class _Layer(CacheLayerMixin):  # type: ignore[misc]  # transformers is untyped here
    """One layer's buffers: keys and values [rows, heads, slots, width]."""

    is_sliding = False

    def __init__(self, owner: Slots) -> None:
        super().__init__()
        self.owner = owner
        self.keys: Any = None
        self.values: Any = None

    def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
        """Buffers are made in `reserve`."""

    def reserve(self, keys: torch.Tensor, values: torch.Tensor, rows: int, slots: int) -> None:
        """Make room; new slots are zero, since a masked slot still enters the weighted sum (times zero)."""
        held = (0, 0) if self.keys is None else (self.keys.shape[0], self.keys.shape[2])
        if rows <= held[0] and slots <= held[1]:
            return
        if rows > held[0]:
            rows = max(rows, min(self.owner.capacity, held[0] * 3 // 2))
        rows, slots = max(held[0], rows), max(held[1], -(-slots // _GROWTH) * _GROWTH)
        self.keys = _grown(self.keys, keys, rows, slots)
        self.values = _grown(self.values, values, rows, slots)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new keys and values [rows, heads, new, width] and return all that the queries may see."""
        rows, span = len(key_states), self.owner.span
        self.reserve(key_states, value_states, rows, span)
        which = torch.arange(rows, device=key_states.device)[:, None]
        self.keys[which, :, self.owner.write] = key_states.transpose(1, 2)
        self.values[which, :, self.owner.write] = value_states.transpose(1, 2)
        return self.keys[:rows, :, :span], self.values[:rows, :, :span]

    def get_seq_length(self) -> int:
        """Return the length of the longest row."""
        return self.owner.get_seq_length()

    def get_max_length(self) -> int:
        """There is no maximum."""
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many slots the queries see and the first of them."""
        return self.owner.span, 0


def _grown(old: torch.Tensor | None, like: torch.Tensor, rows: int, slots: int) -> torch.Tensor:
    new = torch.zeros((rows, like.shape[1], slots, like.shape[3]), dtype=like.dtype, device=like.device)
    if old is not None:
        new[: old.shape[0], :, : old.shape[2]] = old
    return new


class Network:
    """A causal language model that advances the rows of a cache.

    Attributes:
        module: the transformers model.
        context: most tokens of one row.
        vocabulary: width of the logits.
        bytes_per_token: of keys and values.
    """

    def __init__(self, module: Any) -> None:
        """Take a model.

        Raises:
            BadInput: it keeps other state than keys and values.
        """
        self.module = module
        self.config = module.config.get_text_config()
        self.context: int = getattr(self.config, "max_position_embeddings", None) or 2**31
        self.vocabulary: int = self.config.vocab_size
        self.device: torch.device = module.device
        heads = self.config.num_attention_heads
        kv_heads = getattr(self.config, "num_key_value_heads", None) or heads
        width = getattr(self.config, "head_dim", None) or self.config.hidden_size // heads
        self.bytes_per_token: int = 2 * self.config.num_hidden_layers * kv_heads * width * module.dtype.itemsize
        # transformers 5.2x renamed the argument; the old name warns there.
        known = inspect.signature(module.forward).parameters
        self._cache_name = "cache" if "cache" in known else "past_key_values"
        kinds = set(getattr(self.config, "layer_types", None) or ())
        if getattr(module, "_is_stateful", False) or kinds - {"full_attention", "sliding_attention"}:
            raise BadInput(
                f"{type(module).__name__} has layers that are not plain attention: rows cannot share a prompt"
            )
        self._window: int | None = getattr(self.config, "sliding_window", None)
        self._mixed = len(kinds) > 1
        if kinds == {"full_attention"}:
            self._window = None

    def slots(self, rows: int) -> Slots:
        """Return an empty cache for up to so many rows."""
        return Slots(self.config.num_hidden_layers, rows)

    def advance(self, cache: Slots, ids: Sequence[Sequence[int]], *, last: bool) -> torch.Tensor:
        """Append `ids` to the cache's rows, row by row.

        Args:
            cache: as many rows as `ids` are taken from it, the missing ones start empty.
            ids: one or more tokens for each row; where their numbers differ, `last` must be False.
            last: return only the logits after the last token.

        Returns:
            Logits [rows, 1 or most tokens of a row, vocabulary]; those after a row's own tokens are noise.
        """
        logits: torch.Tensor = self._advance(cache, ids, last=last, hidden=False).logits
        return logits

    def advance_deep(self, cache: Slots, ids: Sequence[Sequence[int]]) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """Append `ids`; return all logits, and the hidden states [rows, tokens, width] of embeddings and layers."""
        out = self._advance(cache, ids, last=False, hidden=True)
        return out.logits, out.hidden_states

    def _advance(self, cache: Slots, ids: Sequence[Sequence[int]], *, last: bool, hidden: bool) -> Any:
        cache.lengths += [0] * (len(ids) - len(cache.lengths))
        width = max(map(len, ids))
        tokens = torch.tensor([[*row, *[0] * (width - len(row))] for row in ids], device=self.device)
        start = torch.tensor(cache.lengths, device=self.device)
        cache.write = start[:, None] + torch.arange(width, device=self.device)
        cache.span = max(cache.lengths) + width
        out = self.module(
            input_ids=tokens,
            attention_mask=self._mask(cache.write, cache.span),
            position_ids=cache.write.clamp(max=self.context - 1),  # what pads a short row may lie beyond the context
            use_cache=True,
            logits_to_keep=1 if last else 0,
            output_hidden_states=hidden,
            **{self._cache_name: cache},
        )
        cache.lengths = [length + len(row) for length, row in zip(cache.lengths, ids, strict=True)]
        return out

    def _mask(self, query: torch.Tensor, span: int) -> torch.Tensor | dict[str, torch.Tensor]:
        """Return which of `span` slots the queries at positions `query` [rows, new] see: [rows, 1, new, span]."""
        slot = torch.arange(span, device=self.device)
        past = slot <= query[:, None, :, None]
        if self._window is None:
            return past
        near = past & (slot > query[:, None, :, None] - self._window)
        return {"full_attention": past, "sliding_attention": near} if self._mixed else near
