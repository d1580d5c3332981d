"""Value per cost, E3, and the three shares of well spent tokens, on the survey's examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.economy import (
    Spent,
    e3,
    efficiency,
    outcome_efficiency,
    process_efficiency,
    underthinking,
)


def test_underthinking_counts_wrong_answers_only() -> None:
    answers = [Spent(100, 25), Spent(200, 200), Spent(10, 1, right=True)]
    assert underthinking(answers) == 0.375
    assert underthinking([Spent(10)]) == 0.0
    assert underthinking([Spent(10, 1, right=True)]) is None


def test_outcome_efficiency_divides_by_all_answers() -> None:
    assert outcome_efficiency([Spent(100, 20), Spent(70), Spent(50, 50)]) == pytest.approx(0.4)


def test_process_efficiency_is_of_what_is_known() -> None:
    assert process_efficiency([Spent(100, distinct=60), Spent(50, distinct=50), Spent(9)]) == pytest.approx(0.8)
    assert process_efficiency([Spent(9)]) is None


def test_e3_does_not_prefer_cheap_and_wrong() -> None:
    assert e3(90, 2000) == pytest.approx(4.05)
    assert e3(88, 1200) == pytest.approx(6.4533, abs=1e-4)
    assert e3(45, 500) == pytest.approx(4.05)


@given(cost=st.floats(0.1, 1e6), values=st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_efficiency_at_one_cost_is_the_mean_value_over_it(cost: float, values: list[float]) -> None:
    assert efficiency(values, [cost] * len(values)) == pytest.approx(sum(values) / len(values) / cost)


def test_nothing_answered_has_no_efficiency() -> None:
    assert efficiency([], []) is None
    assert outcome_efficiency([]) is None


@pytest.mark.parametrize(
    "bad",
    [
        lambda: efficiency([1.0], [0.0]),
        lambda: efficiency([1.0], []),
        lambda: e3(101, 10),
        lambda: e3(50, 0),
        lambda: outcome_efficiency([Spent(10, 11)]),
        lambda: underthinking([Spent(0)]),
    ],
)
def test_bad_input_is_refused(bad: object) -> None:
    assert callable(bad)
    with pytest.raises(BadInput):
        bad()
