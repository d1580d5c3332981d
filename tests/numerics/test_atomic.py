"""Choosing among solutions, tags over lines, safe arithmetic and the F1 of words."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.atomic import (
    arithmetic,
    choose_solution,
    choose_state,
    last_tag,
    released_choice,
    released_json,
    released_math,
    released_tags,
    token_f1,
)

# An expression and its exact value (None: a division by zero in it).
Pair = tuple[str, Fraction | None]
numbers = st.integers(0, 99).map(lambda n: (str(n), Fraction(n)))


def combine(parts: tuple[Pair, str, Pair]) -> Pair:
    (left, a), sign, (right, b) = parts
    text = f"({left} {sign} {right})"
    if a is None or b is None or (sign == "/" and b == 0):
        return text, None
    return text, {"+": a + b, "-": a - b, "*": a * b, "/": a / (b or 1)}[sign]


expressions = st.recursive(
    numbers, lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(combine), max_leaves=6
)


def test_card_62_selection() -> None:
    assert choose_solution([0, 1, 1]) == 1
    assert choose_solution([1, 1, 1]) == choose_solution([0, 0, 0]) == 0
    assert choose_state([1, 0, 1], [40, 10, 25]) == 2
    assert choose_state([0, 0, 0], [40, 10, 25]) == 1


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1))
def test_chosen_state_is_the_best_then_the_shortest_then_the_first(pairs: list[tuple[int, int]]) -> None:
    at = choose_state([score for score, _ in pairs], [words for _, words in pairs])
    for k, (score, words) in enumerate(pairs):
        assert (-pairs[at][0], pairs[at][1], at) <= (-score, words, k)


def test_tags_are_read_over_lines_and_the_last_one_wins() -> None:
    assert last_tag("<question>a</question> or <question>\nHow\nmany?\n</question>", "question") == "How\nmany?"
    assert last_tag("<Question>x</QUESTION>", "question") == "x"
    assert last_tag("<question> </question>", "question") is None
    assert last_tag("<question>cut off", "question") is None
    assert released_tags("<question>a\nb</question>") == {}


@given(expressions)
def test_arithmetic_is_exact(pair: Pair) -> None:
    text, value = pair
    assert arithmetic(text) == value


@pytest.mark.parametrize(
    "text", ["", "x", "1/0", "__import__('os')", "2**9**9", "(" * 300, "9" * 300, "1e999", "True", "[1]", "1;2"]
)
def test_what_is_no_arithmetic_is_none(text: str) -> None:
    assert arithmetic(text) is None


def test_released_scorers_keep_their_sentinels() -> None:
    assert released_math("abc", "xyz") == 1
    assert released_math("1,000", "1000") == 1
    assert released_math(None, "0") == 0
    assert released_choice("(b)", "B") == 1
    assert released_choice("A.", "A") == 0
    assert released_json("x {bad} y") is None


def test_f1_of_words() -> None:
    assert token_f1("the Eiffel Tower", "Eiffel tower") == 1.0
    assert token_f1("yes", "no") == 0.0
    assert token_f1("a b c", ["x", "b c"]) == pytest.approx(1.0)  # "a" is an article


@given(st.text(alphabet="ab c"), st.text(alphabet="ab c"))
def test_f1_is_symmetric_and_in_range(left: str, right: str) -> None:
    assert token_f1(left, right) == pytest.approx(token_f1(right, left))
    assert 0 <= token_f1(left, right) <= 1
