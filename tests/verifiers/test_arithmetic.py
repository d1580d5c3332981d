"""Arithmetic without gold: stated calculations, stories worked out again, and what stays missing."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.candidate import Candidate
from ponder.core.registry import verifiers
from ponder.core.task import Message, Task
from ponder.verifiers.arithmetic import Arithmetic, product_of_story, stated_calculations

STORY = Task.of("Anna has 3 boxes. Each box has 4 pens. How many pens does Anna have in total?", answer="number")
OTHER = Task.of("What is the sum of the first primes?", answer="number")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3 * 4 = 12", [(12, 12)]),
        ("3 x 4 = 13", [(13, 12)]),
        ("3 boxes \u00d7 4 red pens = 12 pens", [(12, 12)]),
        ("$3 * $4 = $12.", [(12, 12)]),
        (r"3 \times 4 = 12", [(12, 12)]),
        ("**3 * 4 = 12**", [(12, 12)]),
        ("3 times 4 is 12", [(12, 12)]),
        ("3 multiplied by 4 equals 11", [(11, 12)]),
        ("2 + 3 * 4 = 14", [(14, 14)]),
        ("10 -5 = 5 and 10-5=5", [(5, 5), (5, 5)]),
        ("5 * -3 = -15", [(-15, -15)]),
        ("5 - 3 = \u22122", [(-2, 2)]),
        ("12 / 4 = 3", [(3, 3)]),
        ("1/2 + 1/2 = 1", [(1, 1)]),
        ("x = 5 + 3 = 8", [(8, 8)]),
        ("6 * 7 = 40 + 2 = 42", [(42, 42)]),
        ("8 * 7 = 56, 3 + 3 = 7", [(56, 56), (7, 6)]),
        ("3 + 4 = 7 - so 7", [(7, 7)]),
        ("(2 + 3) * 4 = 20", []),
        ("50% * 2 = 1", []),
        ("5 / 0 = 3", []),
        ("24 is 5", []),
        ("there are 12", []),
        ("", []),
    ],
)
def test_stated_calculations_are_found(text: str, found: list[tuple[int, int]]) -> None:
    assert [(int(calculation.result), int(calculation.value)) for calculation in stated_calculations(text)] == found


def test_a_rounded_result_holds() -> None:
    assert [c.holds for c in stated_calculations("10 / 3 = 3.33; 10 / 3 = 3.34; 10 / 3 = 3")] == [True, False, False]


@given(st.lists(st.integers(0, 999), min_size=2, max_size=5), st.data())
def test_true_calculations_hold_and_others_do_not(terms: list[int], data: st.DataObject) -> None:
    ops = [data.draw(st.sampled_from("+-*")) for _ in terms[1:]]
    line = str(terms[0]) + "".join(f" {op} {term}" for op, term in zip(ops, terms[1:], strict=True))
    value = eval(line)
    (right,) = stated_calculations(f"{line} = {value}")
    (wrong,) = stated_calculations(f"{line} = {value + 1}")
    assert right.holds
    assert not wrong.holds


@pytest.mark.parametrize(
    ("prompt", "product"),
    [
        (STORY.prompt, 12),
        ("There are three boxes with 4 pens in every box. How many pens are there?", 12),
        ("Ben pays $2.50 per ride for 4 rides. How much money does he pay?", 10),
        ("Ben needs 12 pens at 3 pens per box. How many boxes does he need?", None),
        ("Ben shares 12 pens equally with 3 friends. How many does each get?", None),
        ("Each box has 4 pens. There are 3 boxes and 5 dogs. How many pens?", None),
        ("Ben has 3 pens and 4 cups. How many things?", None),
        ("Each box has 4 pens. There are 3 boxes.", None),
    ],
)
def test_product_of_story(prompt: str, product: int | None) -> None:
    assert product_of_story(prompt) == product


@pytest.mark.parametrize(
    ("task", "text", "value"),
    [
        (STORY, "12", 1.0),
        (STORY, "The answer is 7.", 0.0),
        (STORY, "3 * 4 = 13, so the answer is 12", 0.0),
        (STORY, "none", None),
        (OTHER, "2 + 3 = 5", 1.0),
        (OTHER, "2 + 3 = 6", 0.0),
        (OTHER, "2 + 3 = 5. The answer is 9", None),
        (OTHER, "5", None),
        (OTHER, "\x00", None),
    ],
)
async def test_score_follows_the_rules_in_order(task: Task, text: str, value: float | None) -> None:
    (score,) = await Arithmetic().score(task, [candidate(text)], None)
    assert score.value == value
    assert score.reason


async def test_without_recomputing_a_bare_number_is_no_evidence() -> None:
    texts = ["12", "3 * 4 = 12", "3 + 4 = 7"]
    scores = await Arithmetic(recompute=False).score(STORY, [candidate(text) for text in texts], None)
    assert [score.value for score in scores] == [None, 1.0, 1.0]


async def test_a_failed_call_is_missing() -> None:
    (score,) = await Arithmetic().score(STORY, [Candidate(index=0, error="timed out")], None)
    assert score.value is None
    assert "timed out" in score.reason


@pytest.mark.parametrize("unit", ["1+1=", "1 ", "x ", "= ", "9", "1/", "- "])
async def test_a_megabyte_is_survived(unit: str) -> None:
    (score,) = await Arithmetic().score(STORY, [candidate(unit * (1_000_000 // len(unit)))], None)
    assert score.value in (None, 0.0, 1.0)


@given(st.text(alphabet="0123456789+-*/=x. $,%()\u2212\u00d7eE"))
async def test_any_text_is_taken(text: str) -> None:
    assert all(isinstance(calculation.value, Fraction) for calculation in stated_calculations(text))


def test_arithmetic_is_registered_and_uses_no_gold() -> None:
    assert not verifiers.get("arithmetic").oracle


def candidate(text: str) -> Candidate:
    return Candidate(index=0, message=Message("assistant", text))
