r"""Answers to inequalities: exact bounds and relations."""

from __future__ import annotations

import pytest

from ponder.core.errors import ConfigError
from ponder.verifiers.answers._exact_worker import exact_decimals
from ponder.verifiers.answers.bound import BoundAnswer
from ponder.verifiers.answers.relation import RelationAnswer

BOUND = BoundAnswer(seconds=60)


@pytest.mark.math
@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"By AM-GM, the answer is $C=\frac{1}{2}$.", r"\frac{1}{2}"),
        (r"The answer is $C = 2\sqrt{3}$, attained at x = 1.", r"2\sqrt{3}"),
        ("First C = 3, but the answer is $C=4$.", "4"),
        (r"\boxed{C=5}", "5"),
        (r"So \boxed{\frac{5}{9}}.", r"\frac{5}{9}"),
        (r"the answer is \(C_{\max} = 9\)", "9"),
        ("Final answer: C = 2 since equality holds", "2"),
        (r"$C=\frac{1}{3}$", r"\frac{1}{3}"),
        ("We know nothing at all.", None),
        ("", None),
    ],
)
def test_a_bound_is_read_without_its_name(text: str, answer: str | None) -> None:
    assert BOUND.extract(text) == answer


@pytest.mark.math
@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("1.5", r"\frac{3}{2}", True),
        (r"\sqrt{4}", "2", True),
        (r"2\pi", "6.28318", False),
        (r"\sqrt{2}", "1.4142135623730951", False),
        (r"\frac{1}{3}", "0.333333333333", False),
        (r"\sqrt{2}+\sqrt{3}", r"\sqrt{5+2\sqrt{6}}", True),
        ("2", "3", False),
        ("2", r"\frac{", False),
        ("2", "x", False),
    ],
)
async def test_bounds_are_equal_exactly_or_not_at_all(left: str, right: str, equal: bool) -> None:
    assert await BOUND.same(left, right) is equal
    assert await BOUND.same(right, left) is equal


@pytest.mark.math
async def test_equal_bounds_form_a_group_and_none_stays_none() -> None:
    assert await BOUND.group([r"\frac{1}{2}", "0.5", None, "0.51", r"\frac{2}{4}"]) == [0, 0, None, 3, 0]


@pytest.mark.math
async def test_a_comparison_that_takes_too_long_is_unequal() -> None:
    assert await BoundAnswer(seconds=0.2).same("9^{9^{9^{9}}}", "9^{9^{9^{8}}}") is False
    assert await BOUND.same("1", "1.0") is True  # the worker is there again


def test_seconds_are_checked() -> None:
    with pytest.raises(ConfigError):
        BoundAnswer(seconds=0)


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("0.25", r"\frac{25}{100}"),
        (".5x", r"\frac{5}{10}x"),
        ("1.2.3", "1.2.3"),
        ("7", "7"),
        ("3.10", r"\frac{310}{100}"),
    ],
)
def test_decimals_are_the_fractions_that_they_spell(text: str, exact: str) -> None:
    assert exact_decimals(text) == exact


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is (B) $\\geq$.", "B"),
        ("First the answer is (A). Wait. The answer is (B) $\\geq$.", "B"),
        ("The answer is (E) > since a=b fails", "E"),
        ("answer is $\\leq$", "A"),
        (r"\boxed{D}", "D"),
        ("C", "C"),
        ("None of the above", "F"),
        ("no idea here", None),
        ("", None),
    ],
)
def test_a_relation_is_a_letter(text: str, letter: str | None) -> None:
    assert RelationAnswer().extract(text) == letter


async def test_relations_are_equal_by_letter() -> None:
    kind = RelationAnswer()
    assert await kind.group(["A", None, "B", "A"]) == [0, None, 2, 0]
    assert await kind.same("A", kind.extract("(A) $\\leq$"))
