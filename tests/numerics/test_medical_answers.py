"""Reading and matching of options: the card's examples and what the fallback must never hide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.medical_answers import extract_boxed, is_correct, match_option, read_options

OPTIONS = [("A", "Aspirin"), ("B", "Heparin"), ("C", "Warfarin"), ("D", "Vitamin K")]


def test_the_card_s_way_splits_at_the_equals_sign_after_all_wrappers() -> None:
    assert extract_boxed(r"\boxed{\text{x = 4}}") == "4"
    assert extract_boxed(r"\boxed{\text{x = 4}}", parity="released") == "4}"
    assert extract_boxed(r"a \boxed{A} then \boxed{D}") == "D"
    assert extract_boxed("no box") == "no box"


@pytest.mark.parametrize(
    ("text", "letter", "rule"),
    [
        ("The answer is B", "B", "announced"),
        ("answer is A, no wait the answer is C.", "C", "announced"),
        ("Final: (D)", "D", "letter"),
        ("A patient was given B", "B", "letter"),
        ("give heparin now", "B", "text"),
        ("hepa rin", "B", "similar"),
    ],
)
def test_rules_in_order(text: str, letter: str, rule: str) -> None:
    found = match_option(text, OPTIONS)
    assert found is not None
    assert (found.letter, found.rule) == (letter, rule)


@given(st.text(max_size=40))
def test_some_option_is_always_found_and_noise_says_so(text: str) -> None:
    found = match_option(text, OPTIONS)
    assert found is not None
    assert found.letter in "ABCD"
    if not any(c in "ABCD" for c in text) and not any(o.lower() in text.lower() for _, o in OPTIONS):
        assert found.rule == "similar"


def test_without_options_there_is_nothing_to_find() -> None:
    assert match_option("B", []) is None
    assert is_correct("x", "B", "Heparin", []) == (False, None)


def test_direct_comparison_needs_no_match() -> None:
    assert is_correct("heparin", "B", "Heparin", OPTIONS) == (True, None)
    assert is_correct("b. Heparin", "B", "Heparin", OPTIONS) == (True, None)
    right, found = is_correct("B", "C", "Warfarin", OPTIONS)
    assert not right
    assert found is not None


def test_lines_that_are_no_option_are_left_out() -> None:
    assert read_options("A. x\nbroken line\nC. y") == {"A": "x", "C": "y"}
