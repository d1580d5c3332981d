"""The threshold rule and what selection wins: card 38's numbers and monotonicity."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.selective import FORCED_LAST, Way, modes, read_score, steps_outcome

FAST, SLOW = Way(100, 0.98, 0.3), Way(2000, 0.95, 0.95)
HARD = [False, False, False, True, True]
unit = st.floats(0, 1)


def test_card_38_modes() -> None:
    d = [0.2, 0.5, 0.51, FORCED_LAST]
    assert modes(d, 0.5) == [1, 1, 2, 2]
    assert modes(d, 0.9) == [1, 1, 1, 1]
    assert modes(d, 0.0) == [2, 2, 2, 2]


def test_card_38_outcomes() -> None:
    found = [steps_outcome(HARD, ways, FAST, SLOW) for ways in ([1] * 5, [2] * 5, [1, 1, 1, 2, 2])]
    assert [chance for chance, _ in found] == pytest.approx([0.0847, 0.7738, 0.8494], abs=1e-4)
    assert [cost for _, cost in found] == [500, 10000, 4300]


def test_perfect_selection_is_the_best_of_all_ways() -> None:
    every = [steps_outcome(HARD, ways, FAST, SLOW)[0] for ways in itertools.product((1, 2), repeat=5)]
    assert max(every) == pytest.approx(steps_outcome(HARD, [1, 1, 1, 2, 2], FAST, SLOW)[0])


@given(st.lists(unit, min_size=1, max_size=8), unit, unit)
def test_slow_steps_and_cost_never_rise_with_the_threshold(d: list[float], low: float, high: float) -> None:
    low, high = sorted((low, high))
    few, many = modes(d, high), modes(d, low)
    assert sum(way == 2 for way in few) <= sum(way == 2 for way in many)
    hard = [True] * len(d)
    assert steps_outcome(hard, few, FAST, SLOW)[1] <= steps_outcome(hard, many, FAST, SLOW)[1]
    assert steps_outcome(hard, few, FAST, SLOW)[0] <= steps_outcome(hard, many, FAST, SLOW)[0] + 1e-12


@pytest.mark.parametrize(
    ("text", "value"), [("0.7", 0.7), (" 0.7\n", 0.7), ("1", 1.0), (".5", 0.5), ("0", 0.0), ("1.", 1.0)]
)
def test_scores_are_read(text: str, value: float) -> None:
    assert read_score(text) == value


@pytest.mark.parametrize("text", ["0.7/1", "1.2", "", "hard", "0.5 0.6", "-0.1", "nan", "70%", "0.5 because"])
def test_anything_else_is_no_score(text: str) -> None:
    assert read_score(text) is None


def test_ways_must_fit() -> None:
    with pytest.raises(BadInput):
        steps_outcome([True], [1, 2], FAST, SLOW)
    with pytest.raises(BadInput):
        steps_outcome([True], [3], FAST, SLOW)
