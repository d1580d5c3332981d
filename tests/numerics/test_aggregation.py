from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.aggregation import Aggregation, aggregate, two_token_score

STEPS = st.lists(st.floats(0, 1), min_size=1, max_size=12)
HOWS: list[Aggregation] = ["min", "product", "last", "mean"]


@pytest.mark.parametrize(("how", "score"), [("min", 0.4), ("product", 0.288), ("last", 0.8), ("mean", 0.7)])
def test_aggregates_of_card_04(how: Aggregation, score: float) -> None:
    # Check 6.
    assert aggregate([0.9, 0.4, 0.8], how) == pytest.approx(score)


@pytest.mark.parametrize("how", HOWS)
def test_no_steps_and_unreadable_steps_are_missing(how: Aggregation) -> None:
    assert aggregate([], how) is None
    assert aggregate([], how, empty=-1.0) == -1.0
    assert aggregate([0.5, math.nan, 0.5], how, empty=-1.0) is None


@given(STEPS)
def test_order_of_the_aggregates(steps: list[float]) -> None:
    product, least, mean, last = (aggregate(steps, how) for how in ("product", "min", "mean", "last"))
    assert product is not None
    assert least is not None
    assert mean is not None
    assert last is not None
    assert product <= least <= last <= 1
    assert least - 1e-12 <= mean <= max(steps) + 1e-12


@given(STEPS)
def test_only_last_depends_on_the_order_of_steps(steps: list[float]) -> None:
    assert aggregate(steps[::-1], "min") == aggregate(steps, "min")
    assert aggregate(steps[::-1], "mean") == pytest.approx(aggregate(steps, "mean"))
    assert aggregate(steps[::-1], "last") == steps[0]


@given(st.floats(0, 1), st.sampled_from(HOWS))
def test_one_step_is_its_own_aggregate(step: float, how: Aggregation) -> None:
    assert aggregate([step], how) == step


def test_two_token_score_of_card_13() -> None:
    # Check 5.
    assert two_token_score(2, 0) == pytest.approx(0.880797, abs=1e-6)
    assert two_token_score(-7, -7) == 0.5


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_two_token_scores_are_complementary_probabilities(good: float, bad: float) -> None:
    assert 0 <= two_token_score(good, bad) <= 1
    assert two_token_score(good, bad) + two_token_score(bad, good) == pytest.approx(1)
