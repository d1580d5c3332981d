r"""Where answers to inequalities stand, the conjunction of judges, and the value of numeric expressions."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.inequality import evaluate, locate, numeric_check, overall, read_relation, unnamed_bound


def test_one_of_the_32_combinations_passes() -> None:
    passed = [case for case in itertools.product((True, False), repeat=5) if overall(case)]
    assert passed == [(True,) * 5]


def test_a_judge_that_cannot_tell_leaves_it_open_unless_another_rejects() -> None:
    assert overall([True, None]) is None
    assert overall([False, None]) is False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1+2*(1.4)^3", 6.488),
        (r"\frac{1}{2} + \sqrt{4}", 2.5),
        (r"\left(\frac{\sqrt{9}}{2}\right)^{2}", 2.25),
        (r"2\cdot 3 \times 4", 24),
        ("2sqrt(9)", 6),
        ("√2", math.sqrt(2)),
        ("2\\pi", 2 * math.pi),
        ("-3 + +5", 2),
        (r"\sqrt[3]{8}", 2),
    ],
)
def test_numbers_have_a_value(text: str, value: float) -> None:
    assert evaluate(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "x + 1",
        "",
        "1/0",
        "__import__('os')",
        "9**9**9**9",
        "(" * 300,
        "'a'*9",
        "True",
        "1" * 500,
        "a=3",
        "sqrt(0-1)",
        "1 < 2",
    ],
)
def test_what_is_no_number_has_none(text: str) -> None:
    assert evaluate(text) is None


@given(st.text(alphabet="0123456789+-*/^(). \\{}sqrtfacpie$", max_size=30))
def test_any_text_is_a_finite_number_or_none(text: str) -> None:
    value = evaluate(text)
    assert value is None or math.isfinite(value)


def test_checks_are_strict_and_open_where_nothing_can_be_evaluated() -> None:
    assert numeric_check("1 + 1", "2.0099") is True
    assert numeric_check("1 + 1", "2.02") is False
    assert numeric_check("x", "2") is None


def test_approximate_values_need_an_equation() -> None:
    assert locate("first\nsecond\nthird\nfourth").split("\n") == ["second", "third", "fourth"]
    assert locate("The ANSWER IS\n  \\(C = 2\\)") == "ANSWER IS $C = 2$"


@pytest.mark.parametrize(
    ("text", "letter"), [("not (A) but (E)", "E"), ("a ≥ b", "B"), ("None of the above holds", "F"), ("a < b", "D")]
)
def test_letters_come_before_symbols(text: str, letter: str) -> None:
    assert read_relation(text) == letter


@pytest.mark.parametrize(
    "text",
    ["$C = \\frac{1}{2}$", "\\boxed{C=\\frac{1}{2}}", "C_{\\max} = \\frac{1}{2}", "\\frac{1}{2}", "$C=\\frac{1}{2}$."],
)
def test_a_bound_loses_its_name(text: str) -> None:
    assert unnamed_bound(text) == "\\frac{1}{2}"


def test_the_bound_of_the_card_is_what_a_search_finds() -> None:
    """Card 19, check 5: the least C with xy(y+4z) + yz(z+4x) + zx(x+4y) <= C for positive x + y + z = 1 is 5/9."""
    rng = random.Random(0)
    best = 0.0
    for _ in range(20_000):
        x, y, z = (rng.expovariate(1) for _ in range(3))
        x, y, z = (part / (x + y + z) for part in (x, y, z))
        best = max(best, x * y * (y + 4 * z) + y * z * (z + 4 * x) + z * x * (x + 4 * y))
    exact = evaluate(r"\frac{5}{9}")
    assert exact is not None
    assert best <= exact
    assert best == pytest.approx(exact, abs=2e-3)
    assert numeric_check("1/3*1/3*(1/3+4/3)*3", "5/9", tolerance=1e-12)
