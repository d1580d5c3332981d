"""What the fixtures of cards 02 and 12 do not hold: the corners of the released readers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.released_answers import (
    contained,
    equal_values,
    extract_reference,
    extract_response,
    last_box,
    last_number,
    normalise_latex,
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("\\textnormal{cm}", "cm"),
        ("a\\text{ or }b", "a,b"),
        ("\\sin x", "\\sin x"),
        ("\\frac1{2}", "\\frac{1}{2}"),
        ("\\frac1", "\\frac1"),
        ("\\sqrt2/3", "\\frac{\\sqrt{2}}{3}"),
        ("1/2/3", "1/2/3"),
        ("01/2", "01/2"),
        ("(", "("),
        ("", ""),
        ("x_{12}", "x_{12}"),
        ("\\begin{pmatrix}1\\2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    assert normalise_latex(text) == normal


@pytest.mark.parametrize(("text", "error"), [("\\text{open", TypeError), ("\\text{}", IndexError), ("x_", IndexError)])
def test_normal_form_raises_what_the_released_code_raises(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        normalise_latex(text)
    assert extract_response(f"The answer is{text}", "math") == text


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("12", "24/2", True),
        ("(1+1)*2", "4", True),
        ("-(3)", "-3", True),
        ("2**3", "8", True),
        ("7//2", "3", True),
        ("012", "12", False),
        ("1/0", "1/0+1", False),
        ("9**9999", "1", False),
        ("1 2", "12", False),
        ("()", "( )", False),
        ("", "", True),
        ("x", "x", True),
        (None, None, False),
    ],
)
def test_equal_values_are_plain_arithmetic(left: str | None, right: str | None, equal: bool) -> None:
    assert equal_values(left, right) is equal


def test_loose_flag_takes_what_holds_the_reference_or_is_missing() -> None:
    assert contained("12", "112")
    assert contained("12", None)
    assert not contained("12", "21")


@given(st.text(alphabet="\\{}boxedtfrac_^123/ .,()", max_size=40))
def test_readers_never_fail_on_odd_text(text: str) -> None:
    last_number(text)
    last_box(text)
    assert isinstance(extract_response(text, "gsm8k"), str)
    assert isinstance(extract_response(text, "math"), str)
    extract_reference(text, "gsm8k")
    equal_values(text, "1")
