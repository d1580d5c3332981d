"""Answer types whose equality is equality of canonical strings: text, exact, number, choice, json."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.core.registry import answer_types
from ponder.verifiers.answers.choice import ChoiceAnswer
from ponder.verifiers.answers.exact import ExactAnswer
from ponder.verifiers.answers.json import JsonAnswer
from ponder.verifiers.answers.number import NumberAnswer
from ponder.verifiers.answers.text import TextAnswer

ALL = [TextAnswer(), ExactAnswer(), NumberAnswer(), ChoiceAnswer(), JsonAnswer()]
UNITS = [
    "1+1=",
    "1 ",
    "9",
    "-",
    "$",
    "[1,",
    '["x, ',
    "{",
    "[",
    '{"a":',
    "\\boxed{",
    "answer: ",
    "#### ",
    "(a",
    "`",
    "\x00",
]


def test_answer_types_are_registered_by_name() -> None:
    assert {"text", "exact", "number", "choice", "json", "math"} <= set(answer_types.names())


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1/2", "1/2"),
        ("0.5", "1/2"),
        (".50", "1/2"),
        ("5e-1", "1/2"),
        ("2 1/2", "5/2"),
        (r"\frac{1}{2}", "1/2"),
        ("1,234", "1234"),
        ("1 234", "1234"),
        ("1\u202f234", "1234"),
        ("1{,}234", "1234"),
        ("1,234,567.50", "2469135/2"),
        ("1.5 x 10^3", "1500"),
        ("1.5 \u00d7 10^{-3}", "3/2000"),
        ("-5", "-5"),
        ("\u22125", "-5"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("$1,000", "1000"),
        (r"\$18", "18"),
        ("\u20ac 5", "5"),
        ("50%", "50"),
        ("5kg", "5"),
        ("10-5", "5"),
        ("12 - 5", "5"),
        ("(3,5)", "5"),
        ("2,000 3,000", "3000"),
        ("42.", "42"),
        ("12\x00", "12"),
        ("3 x 10 = 30", "30"),
        ("The answer is 5 apples, since 10 - 5 = 5. Check: 3", "5"),
        ("**Answer:** 12\nNext: 13", "12"),
        ("answer is 3 ... no, the answer is 4", "4"),
        ("#### 42\nbye 7", "42"),
        (r"so \boxed{\frac{3}{4}} and #### 9", "3/4"),
        ("no number", None),
        ("the 3rd of B12", None),
        ("1/0", None),
        ("1e999999999", None),
        ("9" * 5000, None),
        ("", None),
    ],
)
def test_number_reads(text: str, answer: str | None) -> None:
    assert NumberAnswer().extract(text) == answer


def test_number_is_found_far_from_the_end() -> None:
    assert NumberAnswer().extract("it is 17 " + "and so on " * 5000) == "17"


def test_number_at_the_seam_of_the_tail_is_read_whole() -> None:
    for length in range(3990, 4010):
        assert NumberAnswer().extract("1234567" + "." * length) == "1234567"


@given(st.fractions(max_denominator=10**6))
def test_number_canonical_form_is_a_fixed_point(value: Fraction) -> None:
    assert NumberAnswer().extract(str(value)) == str(value)


@given(st.integers(-(10**12), 10**12))
def test_number_thousands_separators_do_not_matter(value: int) -> None:
    assert NumberAnswer().extract(f"{value:,}") == NumberAnswer().extract(f"{value:,}".replace(",", " ")) == str(value)


@given(st.integers(-(10**9), 10**9), st.integers(0, 6))
def test_number_decimals_are_exact(digits: int, places: int) -> None:
    value = Fraction(digits, 10**places)
    written = f"{'-' if digits < 0 else ''}{abs(digits) // 10**places}.{abs(digits) % 10**places:0{max(places, 1)}d}"
    assert NumberAnswer().extract(written) == str(value)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("(B)", "B"),
        ("B.", "B"),
        ("b", "B"),
        ("**B**", "B"),
        ("B) because A is wrong", "B"),
        ("Answer: B", "B"),
        ("Answer: **(D)** it is", "D"),
        ("Answer: option c", "C"),
        ("the answer is (b)", "B"),
        ("The answer is A.", "A"),
        (r"\boxed{\text{C}}", "C"),
        ("I see (A) and (B), and take (C)", "C"),
        ("The correct choice is D", "D"),
        ("It's A", "A"),
        ("The answer is a matter of taste", None),
        ("A dog", None),
        ("I think so", None),
        ("answer: Z", None),
        ("", None),
    ],
)
def test_choice_reads(text: str, answer: str | None) -> None:
    assert ChoiceAnswer().extract(text) == answer


def test_choice_ignores_letters_beyond_the_last() -> None:
    assert ChoiceAnswer(last="D").extract("Answer: E") is None


@pytest.mark.parametrize("last", ["", "A", "b", "BC"])
def test_choice_refuses_a_bad_last_letter(last: str) -> None:
    with pytest.raises(ConfigError, match="last must be"):
        ChoiceAnswer(last=last)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"b": 1, "a": [2]}', '{"a":[2],"b":1}'),
        ('Sure: {"a": 1} and {"b": 2}', '{"a":1}'),
        ('see [x] first\n```json\n{"a": 1}\n```', '{"a":1}'),
        ('[0] then\n```\n{"a": 1}\n```', '{"a":1}'),
        ('{bad} but {"a": 1}', '{"a":1}'),
        ('{"x": {"a": 1}, broken}', None),
        ('{"a": "\\ud800\x00"}', None),
        ('{"a": "\\ud800"}', '{"a":"\\ud800"}'),
        ('{"a": NaN}', None),
        ('{"a": 1e999}', None),
        ("[" * 5000, None),
        ('"just a string"', None),
        ("", None),
    ],
)
def test_json_reads(text: str, answer: str | None) -> None:
    assert JsonAnswer().extract(text) == answer


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.booleans())))
def test_json_spelling_does_not_matter(value: dict[str, object]) -> None:
    spellings = [json.dumps(value), json.dumps(dict(reversed(value.items())), indent=2, ensure_ascii=False)]
    assert len({JsonAnswer().extract(f"here: {spelling}") for spelling in spellings}) == 1


async def test_text_keeps_its_lines_and_folds_white_space_to_compare() -> None:
    kind = TextAnswer()
    assert kind.extract("  Two\n\n words \t\x00") == "Two\n\n words \t\x00"
    assert kind.extract(" \n ") is None
    assert await kind.group(["a  b", None, "a\nb", "A b"]) == [0, None, 0, 3]
    assert await kind.same("a\nb", "a b")
    assert not await kind.same("a b", None)


def test_exact_keeps_everything() -> None:
    assert ExactAnswer().extract(" a\n") == " a\n"
    assert ExactAnswer().extract("") is None


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: type(kind).__name__)
@given(text=st.text())
def test_extract_takes_any_text_and_is_idempotent(kind: TextAnswer, text: str) -> None:
    answer = kind.extract(text)
    assert answer is None or kind.extract(answer) == answer


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize("unit", UNITS)
def test_extract_survives_a_megabyte(kind: TextAnswer, unit: str) -> None:
    answer = kind.extract(unit * (1_000_000 // len(unit)))
    assert answer is None or isinstance(answer, str)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: type(kind).__name__)
async def test_group_gives_the_index_of_the_first_equal_answer(kind: TextAnswer) -> None:
    assert await kind.group(["x", None, "y", "x", None, "y"]) == [0, None, 2, 0, None, 2]
    assert await kind.group([]) == []


async def test_same_is_false_for_missing_answers() -> None:
    kind = NumberAnswer()
    assert await kind.same("1", "1")
    assert not await kind.same(None, None)
    assert not await kind.same("1", None)
