"""The probability of a yes at the place of the verdict."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.verdict import released_reward, yes_probability

logprob = st.floats(-50, 0)


@pytest.mark.parametrize(
    ("top", "probability"),
    [
        ([("Yes", math.log(0.6)), ("No", math.log(0.2))], 0.75),  # card 57, check 1
        ([("Yes", -0.05), ("x", -3.1), ("y", -9.2)], 0.999894),  # card 57, check 1: the smallest stands in
        ([("No", -0.01), ("x", -8.0)], 0.000339),
        ([("Yes", math.log(0.3)), (" yes", math.log(0.3)), ("{No", math.log(0.2))], 0.75),
        ([("Yes", -1000.0), ("No", -2000.0)], 1.0),
        ([("Yes", -math.inf), ("No", -math.inf)], 0.5),
        ([("Yes", -0.3)], 0.5),
    ],
)
def test_yes_probability_of_known_cases(top: list, probability: float) -> None:
    assert yes_probability(top) == pytest.approx(probability, abs=1e-6)


def test_yes_probability_is_missing_without_either_word() -> None:
    assert yes_probability([("maybe", -0.1)]) is None
    assert yes_probability([]) is None


@given(logprob, logprob)
def test_yes_and_no_change_places(yes: float, no: float) -> None:
    probability, other = yes_probability([("Yes", yes), ("No", no)]), yes_probability([("Yes", no), ("No", yes)])
    assert probability is not None
    assert other is not None
    assert 0 <= probability <= 1
    assert probability + other == pytest.approx(1.0)


@given(logprob, logprob)
def test_released_reward_is_the_same_where_nothing_is_odd(yes: float, no: float) -> None:
    released = released_reward("\\boxed{Yes}", [7], [{7: yes, 9: no}], yes=7, no=9)
    assert released == pytest.approx(yes_probability([("Yes", yes), ("No", no)]))
