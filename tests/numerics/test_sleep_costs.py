"""Costs of a sleep, splits and answers: the card's numbers and strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics import sleep_costs as sc


def test_costs_as_in_the_card() -> None:
    found = [sc.cost_per_question(1000, [50] * n, price=10) for n in (1, 2, 5, 10)]
    assert found == [1500, 1000, 700, 600]
    assert [3000 / cost for cost in found] == pytest.approx([2.0, 3.0, 4.2857, 5.0], abs=1e-4)
    assert sc.break_even(1000, 300, 50, price=10) == pytest.approx(0.4)
    assert sc.cost_per_question(1000, [50], price=1) == 1050
    assert sc.break_even(1000, 300, 50, price=1) == 4
    assert sc.break_even(1000, 50, 50) is None


@given(st.floats(0, 1e5), st.floats(1, 1e3), st.floats(0, 1e3), st.floats(0.1, 20))
def test_at_the_break_even_both_cost_the_same(slept: float, asked: float, saved: float, price: float) -> None:
    count = sc.break_even(slept, asked + saved, asked, price=price)
    if count is not None:
        assert slept + price * count * asked == pytest.approx(price * count * (asked + saved), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("slept", "asked", "price"), [(-1, [1], 1), (1, [], 1), (1, [-1], 1), (1, [1], 0)])
def test_costs_out_of_range(slept: float, asked: list[float], price: float) -> None:
    with pytest.raises(BadInput):
        sc.cost_per_question(slept, asked, price=price)


def test_split_as_in_the_card() -> None:
    text = "Ann has 3 boxes. Each box holds 4 pens. How many pens in total?"
    wanted = ("Ann has 3 boxes. Each box holds 4 pens.", "How many pens in total?")
    assert sc.split_question(text) == wanted
    assert sc.released_split(text) == wanted


def test_decimals_stay_whole_in_ours_and_not_in_the_released_split() -> None:
    text = "A bag weighs 4.5 kg. Mr. Smith has two. How much is that?"
    assert sc.split_question(text) == ("A bag weighs 4.5 kg. Mr. Smith has two.", "How much is that?")
    assert "4. 5 kg" in sc.released_split(text).context


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ("", "")),
        ("One thing", ("", "One thing")),
        ("How many? Reply with a number.", ("", "How many? Reply with a number.")),
        ("It is so. Say why.", ("It is so.", "Say why.")),
    ],
)
def test_split_of_odd_texts(text: str, wanted: tuple[str, str]) -> None:
    assert sc.split_question(text) == wanted


@pytest.mark.parametrize(
    ("text", "answer"),
    [("The answer is 1,234.", "1234"), ("The answer is $5.", "5"), ("It is 7", "7"), ("none", None), ("so 5 ...", "")],
)
def test_released_answer(text: str, answer: str | None) -> None:
    assert sc.released_answer(text) == answer


def test_a_cut_is_at_the_end_of_a_sentence() -> None:
    assert sc.cut_at_sentence("One two. Three four.", 100) == "One two. Three four."
    assert sc.cut_at_sentence("One two. Three four.", 12) == "One two."
    assert sc.cut_at_sentence("Abcdefgh", 3) == "Abc"


def test_covered_mass_is_that_of_the_known_facts_and_grows_with_them() -> None:
    zipf = [1 / k for k in range(1, 11)]
    masses = [sc.covered_mass(zipf, k) for k in range(11)]
    assert masses[0] == 0
    assert masses[-1] == pytest.approx(1)
    assert masses == sorted(masses)
    with pytest.raises(BadInput):
        sc.covered_mass([], 0)


def test_quantiles_are_of_equal_size() -> None:
    assert sc.quantiles([5, 1, 4, 2, 3], 5) == [4, 0, 3, 1, 2]
    assert sc.quantiles([1, 1, 1, 1], 2) == [0, 0, 1, 1]
