"""Budgets over steps: card 60's worked numbers, invariants, and the optimum against a search."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.budget_schedules import (
    LEVELS,
    SCHEDULES,
    Schedule,
    allocate,
    bam_exact,
    bam_paper,
    bam_weight,
    decay,
    residual,
    uniform,
)

credits_of = st.lists(st.integers(1, 100), min_size=1, max_size=8)
schedules = st.sampled_from(SCHEDULES)
positive = st.floats(0.05, 50, allow_nan=False)


@pytest.mark.parametrize(
    ("credits", "total", "wanted"),
    [
        ([20, 30, 50], 350, [[70, 105, 175], [124, 124, 102], [180, 120, 50], [80, 108, 162], [172, 140, 38]]),
        (
            [25] * 4,
            600,
            [[150] * 4, [240, 180, 120, 60], [320, 180, 80, 20], [175, 157, 141, 127], [276, 212, 87, 25]],
        ),
        ([20, 80], 200, [[40, 160], [66, 134], [100, 100], [43, 157], [147, 53]]),
    ],
)
def test_card_60_allocations(credits: list[float], total: int, wanted: list[list[int]]) -> None:
    assert [allocate(credits, total, schedule).tokens for schedule in SCHEDULES] == wanted


def test_the_remainder_goes_to_the_largest_shares() -> None:
    assert allocate([1, 1, 1], 200, "linear").tokens == [101, 66, 33]  # by largest fraction: [100, 67, 33]
    assert allocate([50, 30, 20], 101, "constant").tokens == [51, 30, 20]


@given(credits_of, st.integers(0, 5000), schedules, st.sampled_from([0.01, 3.0, 1000.0]))
def test_allocation_conserves_the_budget(credits: list[int], total: int, schedule: Schedule, scale: float) -> None:
    found = allocate(credits, total, schedule)
    assert sum(found.tokens) == total
    assert min(found.tokens) >= 0
    assert math.isclose(sum(found.shares), 1)
    scaled = allocate([credit * scale for credit in credits], total, schedule)
    assert scaled.shares == pytest.approx(found.shares)
    if len(credits) == 1:
        assert found.tokens == [total]


@given(st.integers(1, 12), st.integers(0, 3000), schedules)
def test_equal_credits_never_rise(steps: int, total: int, schedule: Schedule) -> None:
    tokens = allocate([1.0] * steps, total, schedule).tokens
    assert tokens == sorted(tokens, reverse=True)
    weights = decay(schedule, steps)
    assert weights == sorted(weights, reverse=True)
    assert min(weights) > 0


@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=6), st.floats(1, 1000))
def test_the_exact_split_meets_its_conditions(pairs: list[tuple[float, float]], total: float) -> None:
    c, beta = [list(column) for column in zip(*pairs, strict=True)]
    budgets, multiplier = bam_exact(c, beta, total)
    assert math.isclose(sum(budgets), total, rel_tol=1e-9)
    for cj, bj, budget in zip(c, beta, budgets, strict=True):
        assert math.isclose(
            math.log(cj * bj) - (bj + 1) * math.log(budget), math.log(multiplier), rel_tol=1e-6, abs_tol=1e-6
        )


@given(st.lists(st.tuples(positive, st.floats(0.3, 3)), min_size=2, max_size=5), st.data())
def test_no_split_beats_the_exact_one(pairs: list[tuple[float, float]], data: st.DataObject) -> None:
    c, beta = [list(column) for column in zip(*pairs, strict=True)]
    best = residual(c, beta, bam_exact(c, beta, 100.0)[0])
    parts = data.draw(st.lists(st.floats(0.01, 1), min_size=len(c), max_size=len(c)))
    other = [100.0 * part / sum(parts) for part in parts]
    for split in (other, bam_paper(c, beta, 100.0), [100.0 / len(c)] * len(c)):
        assert best <= residual(c, beta, split) * (1 + 1e-9)


def test_the_forms_agree_for_equal_beta_and_only_then() -> None:
    assert bam_paper([8, 4, 1], [2, 2, 2], 350) == pytest.approx(bam_exact([8, 4, 1], [2, 2, 2], 350)[0])
    mixed = [1, 1.5, 2]
    assert bam_exact([8, 4, 1], mixed, 350)[0] == pytest.approx([250.879, 74.062, 25.059], abs=1e-3)
    assert bam_paper([8, 4, 1], mixed, 350) == pytest.approx([161.334, 116.800, 71.866], abs=1e-3)


def test_card_60_residuals_front_loading_helps_only_where_it_fits() -> None:
    c, beta = [2.0**-j for j in range(4)], [1.0] * 4
    found = [residual(c, beta, bam_exact(c, beta, 600)[0])]
    found += [residual(c, beta, allocate([1] * 4, 600, name).tokens) for name in ("linear", "constant", "polynomial")]
    found.append(residual(c, beta, [60, 120, 180, 240]))
    assert found == pytest.approx([0.010928, 0.011111, 0.012500, 0.015278, 0.022743], abs=1e-6)
    assert found == sorted(found)


def test_weight_rises_then_falls_with_beta() -> None:
    weights = [bam_weight(4.0, beta) for beta in (0.5, 1, 1.5, 2, 3)]
    assert weights == pytest.approx([1.587, 2.0, 2.048, 2.0, 1.861], abs=1e-3)


def test_uniform_and_levels() -> None:
    assert uniform(350, 3) == [116] * 3
    assert list(LEVELS.values()) == sorted(LEVELS.values())


@pytest.mark.parametrize(
    ("credits", "total"), [([], 5), ([0, 0], 5), ([-1, 2], 5), ([1], -1), ([math.nan], 5), ([math.inf], 5)]
)
def test_what_cannot_be_split_is_refused(credits: list[float], total: int) -> None:
    with pytest.raises(BadInput):
        allocate(credits, total, "linear")


def test_bad_schedule_and_theory_are_refused() -> None:
    with pytest.raises(BadInput, match="schedule"):
        decay("steep", 3)  # type: ignore[arg-type]  # that is the test
    with pytest.raises(BadInput):
        bam_exact([1], [0], 5)
    with pytest.raises(BadInput):
        bam_paper([1, 2], [1], 5)
