"""Verdicts on pairs, what rounds of thinking do to them, and confusion counts."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.judging import (
    Confusion,
    JudgeChain,
    Letter,
    consistent,
    in_own_order,
    macro_mean,
    majority_accuracy,
    read_letter,
    rounds_of,
    slope,
)


@pytest.mark.parametrize(
    ("text", "ties", "letter"),
    [
        ("[[A]]", False, "A"),
        ("first [[A]], no: [[B]]", False, "B"),
        ("[[C]]", False, None),
        ("[[C]]", True, "tie"),
        ("[[tie]]", True, "tie"),
        ("[[A]] or [[C]]", False, "A"),
        ("[[D]] [A] A", True, None),
        ("", True, None),
    ],
)
def test_the_last_verdict_counts(text: str, ties: bool, letter: str | None) -> None:
    assert read_letter(text, ties=ties) == letter


def test_only_what_is_behind_the_end_of_thinking_is_read() -> None:
    assert read_letter("[[A]]</think>[[B]]</think> hm", end="</think>") is None
    assert read_letter("a</think>[[A]]</think>[[B]]", end="</think>") == "B"


@pytest.mark.parametrize("letter", ["A", "B", "tie", None])
def test_turning_an_order_round_twice_changes_nothing(letter: Letter | None) -> None:
    assert in_own_order(in_own_order(letter)) == letter
    assert consistent(letter, in_own_order(letter)) == (letter is not None)


@pytest.mark.parametrize(("k", "p"), [(1, 0.3), (3, 0.7), (5, 0.55)])
def test_majority_is_the_sum_over_all_outcomes(k: int, p: float) -> None:
    total = 0.0
    for outcome in itertools.product((0, 1), repeat=k):
        if sum(outcome) > k / 2:
            total += p ** sum(outcome) * (1 - p) ** (k - sum(outcome))
    assert majority_accuracy(k, p) == pytest.approx(total)


@pytest.mark.parametrize("wrong", [(2, 0.5), (0, 0.5), (3, 1.5)])
def test_majority_refuses_what_is_none(wrong: tuple[int, float]) -> None:
    with pytest.raises(ConfigError):
        majority_accuracy(*wrong)


@given(st.floats(0, 1), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_a_chain_goes_to_its_limit_and_keeps_within_shares(start: float, gain: float, loss: float) -> None:
    chain = JudgeChain(start=start, gain=gain, loss=loss)
    found = chain.accuracies(2000)
    assert all(0 <= value <= 1 for value in found)
    assert found[-1] == pytest.approx(chain.limit, abs=1e-6)


def test_stable_verdicts_are_no_sign_of_quality() -> None:
    chain = JudgeChain(start=0.7, gain=0.05, loss=0.10)  # card 08, check 7
    unchanged = chain.unchanged(5)
    assert unchanged[0] == pytest.approx(0.9150)
    assert unchanged[4] == pytest.approx(0.9238, abs=1e-4)
    assert chain.accuracies(4)[-1] < 0.53


def test_a_simulated_judge_has_the_accuracies_of_its_chain() -> None:
    chain, draw = JudgeChain(start=0.7, gain=0.2, loss=0.03), random.Random(3)
    verdicts: list[list[Letter | None]] = []
    for _ in range(20_000):
        right = draw.random() < chain.start
        told: list[Letter | None] = ["A" if right else "B"]
        for _ in range(4):
            right = draw.random() >= chain.loss if right else draw.random() < chain.gain
            told.append("A" if right else "B")
        verdicts.append(told)
    found = rounds_of(verdicts, ["A"] * len(verdicts))
    assert found.accuracies == pytest.approx(chain.accuracies(4), abs=0.015)
    assert found.unchanged == pytest.approx(chain.unchanged(4), abs=0.015)
    assert found.trend == pytest.approx(found.accuracies[4] - found.accuracies[0])
    assert found.slope > 0


def test_flips_are_counted_both_ways_and_unread_is_wrong() -> None:
    found = rounds_of([["A", "B", "B"], ["B", "A"], [None, "A", None]], ["A", "A", "A"])
    assert found.accuracies == pytest.approx((1 / 3, 2 / 3, 1 / 3))
    assert (found.to_right, found.to_wrong) == ((2, 0), (1, 1))
    assert found.unread == (1, 0, 1)
    assert found.unchanged == pytest.approx((0.0, 2 / 3))  # a pair that stopped keeps its verdict


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(BadInput):
        rounds_of([], [])
    with pytest.raises(BadInput):
        rounds_of([[]], ["A"])
    with pytest.raises(BadInput):
        macro_mean([])
    with pytest.raises(BadInput):
        slope([])
    with pytest.raises(ConfigError):
        JudgeChain(start=2, gain=0, loss=0)
    with pytest.raises(BadInput):
        Confusion(tp=-1, fn=0, fp=0, tn=0)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8))
def test_slope_is_that_of_the_least_squares_line(values: list[float]) -> None:
    own = slope(values)
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)

    def loss(steep: float) -> float:
        return sum((value - mean - steep * (at - middle)) ** 2 for at, value in enumerate(values))

    assert loss(own) <= min(loss(own + 1e-3), loss(own - 1e-3)) + 1e-12


def test_shares_without_a_base_are_missing() -> None:
    empty = Confusion(tp=0, fn=0, fp=0, tn=0)
    assert (empty.accuracy, empty.precision, empty.recall, empty.f1) == (None, None, None, None)
