"""Masks: what is always kept, how much at most, and where they agree."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.sparse_attention import block_mask, local_mask, masked_softmax, strided_block_mask, topk_mask


def logits(heads: int, length: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(heads, length))


@given(length=st.integers(1, 70), budget=st.integers(1, 20), sink=st.integers(0, 4), local=st.integers(0, 5))
def test_topk_keeps_ends_and_its_budget(length: int, budget: int, sink: int, local: int) -> None:
    scores = logits(4, length)
    keep = topk_mask(scores, kv_heads=2, budget=budget, sink=sink, local=local)
    assert (keep | local_mask(scores, sink=sink, local=local) == keep).all()
    assert (keep.sum(axis=1) == min(length, sink + budget + local)).all()
    assert (keep[0] == keep[1]).all()
    assert (keep[2] == keep[3]).all()


@given(
    length=st.integers(1, 90),
    size=st.integers(1, 6),
    blocks=st.integers(1, 5),
    stride=st.integers(1, 6),
    local=st.integers(0, 5),
)
def test_blocks_keep_no_more_than_their_budget(length: int, size: int, blocks: int, stride: int, local: int) -> None:
    scores = logits(2, length)
    keep = strided_block_mask(scores, kv_heads=1, block_size=size, blocks=blocks, stride=min(stride, size), local=local)
    limit = 4 + local + blocks * size + size - 1  # what does not fill a block is kept
    assert (keep.sum(axis=1) <= max(limit, 0)).all() or keep.all()
    assert (keep | local_mask(scores, local=local) == keep).all()


@given(length=st.integers(6, 60), budget=st.integers(1, 20), seed=st.integers(0, 9))
def test_blocks_of_one_position_are_topk(length: int, budget: int, seed: int) -> None:
    scores = logits(2, length, seed)
    wanted = topk_mask(scores, kv_heads=1, budget=budget, local=2)
    assert (block_mask(scores, kv_heads=1, block_size=1, blocks=budget, local=2) == wanted).all()


def test_blocks_are_chosen_by_the_dot_product_with_their_mean_key() -> None:
    rng = np.random.default_rng(1)
    query, keys = rng.normal(size=8), rng.normal(size=(32, 8))
    keep = block_mask((keys @ query)[None], kv_heads=1, block_size=4, blocks=2, sink=0)
    means = keys.reshape(8, 4, 8).mean(axis=1) @ query
    wanted = np.isin(np.arange(8), np.argsort(means)[-2:]).repeat(4)
    assert (keep[0] == wanted).all()


def test_softmax_over_all_is_the_plain_one_and_over_some_adds_up_to_one() -> None:
    scores = logits(2, 12)
    plain = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(masked_softmax(scores, local_mask(scores, local=12)), plain)
    some = masked_softmax(scores + 1000, local_mask(scores, sink=1, local=2))
    np.testing.assert_allclose(some.sum(axis=1), 1)
    assert (some[:, 1:-2] == 0).all()


@pytest.mark.parametrize(
    "call",
    [
        partial(topk_mask, kv_heads=2, budget=0),
        partial(topk_mask, kv_heads=3, budget=1),
        partial(topk_mask, kv_heads=2, budget=1, sink=-1),
        partial(block_mask, kv_heads=2, block_size=0, blocks=1),
        partial(strided_block_mask, kv_heads=2, block_size=2, blocks=1, stride=3),
    ],
)
def test_numbers_out_of_range_are_refused(call: partial[Any]) -> None:
    with pytest.raises(ConfigError):
        call(logits(4, 20))


def test_what_is_no_matrix_is_refused() -> None:
    with pytest.raises(BadInput, match="query heads, positions"):
        local_mask(np.zeros(4))
    with pytest.raises(BadInput, match="keep a position"):
        masked_softmax(np.zeros((1, 4)), np.zeros((1, 4), dtype=bool))
