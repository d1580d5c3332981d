"""The laws against sums by hand, the figures of the card, and each other."""

from __future__ import annotations

import math
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.cost_laws import (
    Shape,
    TransformerFlops,
    attended_tokens,
    block_topk_cost,
    dense_cost,
    expected_cost,
    topk_cost,
)

TINY = Shape(active=1000, layers=2, heads=4, kv_heads=2, head_size=4)
QWEN = Shape(active=8.19e9, layers=36, heads=32, kv_heads=8, head_size=128)
lengths = st.integers(0, 60)


def test_dense_cost_of_the_card() -> None:
    cost = dense_cost(TINY, 10, 20, trials=3, intensity=10)
    assert cost.compute * 1e12 == pytest.approx(273_600)
    assert cost.memory * 1e12 == pytest.approx(512_000)
    assert dense_cost(QWEN, 200, 8192).total == pytest.approx(3073.977, abs=1e-3)


def test_figures_of_the_card_for_known_models() -> None:
    def parts(length: int, trials: int) -> tuple[float, ...]:
        return tuple(dense_cost(QWEN, 200, length, trials=trials))

    assert parts(8192, 1) == pytest.approx((154.943, 2919.034), abs=1e-3)
    assert parts(32768, 1) == pytest.approx((857.265, 45073.803), abs=1e-3)
    assert parts(8192, 32) == pytest.approx((4958.161, 89196.337), abs=1e-3)
    large = Shape(active=14.77e9, layers=40, heads=40, kv_heads=8, head_size=128)
    small = Shape(active=4.02e9, layers=36, heads=32, kv_heads=8, head_size=128)
    totals = [dense_cost(large, 200, 8192).total, *(dense_cost(small, 200, n).total for n in (9216, 24576))]
    assert totals == pytest.approx([3514.2, 3775.5, 25834.5], abs=0.1)


@given(prompt=lengths, completion=lengths, trials=st.integers(1, 5))
def test_without_memory_it_is_the_classic_law_of_flops(prompt: int, completion: int, trials: int) -> None:
    wanted = trials * (2 * TINY.active * completion + 2 * (2 * prompt + completion) * completion * TINY.width)
    cost = dense_cost(TINY, prompt, completion, trials=trials, intensity=0)
    assert cost.total * 1e12 == pytest.approx(wanted)
    assert cost.memory == 0


def test_a_long_answer_of_a_small_model_costs_more_than_a_short_one_of_a_large_model() -> None:
    large = Shape(active=14.77e9, layers=40, heads=40, kv_heads=8, head_size=128)
    small = Shape(active=4.02e9, layers=36, heads=32, kv_heads=8, head_size=128)
    assert dense_cost(large, 200, 8192).total < dense_cost(small, 200, 24576).total / 7
    alike = dense_cost(small, 200, 24576, intensity=0).total / dense_cost(large, 200, 8192, intensity=0).total
    assert 0.5 < alike < 2


@given(prompt=lengths, completion=lengths, budget=st.integers(1, 80))
def test_attended_tokens_are_the_sum(prompt: int, completion: int, budget: int) -> None:
    wanted = sum(min(budget, prompt + t) for t in range(1, completion + 1))
    assert attended_tokens(prompt, completion, budget) == wanted


def test_closed_forms_stand_on_either_side_of_the_sum() -> None:
    forms = [attended_tokens(200, 8192, 1024, form=form) for form in ("minus", "exact", "plus")]
    assert forms == [8_049_120, 8_049_532, 8_728_096]


@given(prompt=lengths, completion=lengths, budget=st.integers(1, 80), trials=st.integers(1, 5))
def test_a_smaller_budget_never_costs_more(prompt: int, completion: int, budget: int, trials: int) -> None:
    small = topk_cost(TINY, prompt, completion, budget=budget, trials=trials)
    large = topk_cost(TINY, prompt, completion, budget=budget + 1, trials=trials)
    assert small.compute <= large.compute
    assert small.memory <= large.memory


@given(prompt=lengths, completion=lengths)
def test_a_budget_of_everything_differs_from_dense_by_half_a_token_a_step(prompt: int, completion: int) -> None:
    law = TransformerFlops(TINY.active, TINY.width)
    sparse = topk_cost(TINY, prompt, completion, budget=prompt + completion + 1, intensity=0)
    dense = dense_cost(TINY, prompt, completion, intensity=0)
    assert (sparse.compute - dense.compute) * 1e12 == pytest.approx(2 * completion * TINY.width, abs=1e-6)
    # What a call costs, less the reading of its prompt, is the same sum.
    assert law(prompt, completion) - law(prompt, 0) == pytest.approx(sparse.compute * 1e12)


@given(calls=st.lists(st.tuples(lengths, lengths), min_size=1, max_size=6))
def test_attended_tokens_are_found_again_in_the_flops_of_many_calls(calls: list[tuple[int, int]]) -> None:
    law = TransformerFlops(TINY.active, TINY.width)
    total = math.fsum(law(*call) for call in calls)
    wanted = sum(sum(call) * (sum(call) + 1) // 2 for call in calls)
    assert law.attended(total, sum(map(sum, calls))) == pytest.approx(wanted, abs=1e-6)


def test_a_block_of_one_token_costs_its_search_on_top() -> None:
    kept = topk_cost(TINY, 10, 20, budget=8, intensity=10)
    block = block_topk_cost(TINY, 10, 20, block_size=1, blocks=8, intensity=10)
    assert block.compute - kept.compute == pytest.approx(40 * 20 * TINY.width * 1e-12)
    assert block.memory - kept.memory == pytest.approx(10 * 40 * 20 * TINY.kv_width * 1e-12)


def test_elements_of_one_byte_halve_the_traffic() -> None:
    law = partial(block_topk_cost, TINY, 10, 20, block_size=4, blocks=2)
    assert law(element_bytes=1.0).memory == pytest.approx(law().memory / 2)
    assert law(element_bytes=1.0).compute == law().compute


def test_expected_cost_is_not_that_of_the_mean_length() -> None:
    law = partial(dense_cost, TINY, 10)
    assert expected_cost(law, [1, 99]).memory > law(50).memory
    with pytest.raises(BadInput, match="length"):
        expected_cost(law, [])


def test_memory_moves_the_crossing_to_the_larger_model() -> None:
    """For the price of one costly answer (right with 0.5), cheap ones (0.2) cover more only if FLOPs alone count."""
    cheap, costly = (Shape(active=w, layers=36, heads=32, kv_heads=8, head_size=128) for w in (4e9, 40e9))

    def coverage(intensity: float) -> float:
        law = partial(dense_cost, cheap, 0, 2048, intensity=intensity)
        price = dense_cost(costly, 0, 2048, intensity=intensity).total
        trials = max(n for n in range(1, 50) if law(trials=n).total <= price)
        return 1 - 0.8**trials

    assert coverage(562.5) < 0.5 < coverage(0)


@pytest.mark.parametrize(
    "call",
    [
        partial(dense_cost, TINY, -1, 2),
        partial(dense_cost, TINY, 1, 2, trials=0),
        partial(dense_cost, TINY, 1, 2, intensity=math.nan),
        partial(dense_cost, TINY, 1, 2, element_bytes=0),
        partial(topk_cost, TINY, 1, 2, budget=0),
        partial(block_topk_cost, TINY, 1, 2, block_size=0, blocks=1),
        partial(block_topk_cost, TINY, 1, 2, block_size=1, blocks=0),
    ],
)
def test_numbers_out_of_range_are_refused(call: partial[object]) -> None:
    with pytest.raises(ConfigError):
        call()


@pytest.mark.parametrize("wrong", [{"active": 0}, {"layers": 0}, {"kv_heads": 3}])
def test_shapes_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BadInput):
        Shape(**{"active": 1, "layers": 1, "heads": 4, "kv_heads": 2, "head_size": 1, **wrong})
