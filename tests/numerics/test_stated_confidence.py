"""Stated confidences: card 25, check 8, and what a small model really wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.numerics.stated_confidence import is_attempt, last_tag, read_confidence, read_stated

BAD = Path(__file__).parents[1] / "fixtures" / "bad_outputs" / "stated_confidence.json"


@pytest.mark.parametrize(
    ("said", "form", "value"),
    [
        ("80%", "percent", 0.8),
        ("80", "percent", 0.8),
        (" 95 % ", "percent", 0.95),
        ("**70 percent**", "percent", 0.7),
        ("0%", "percent", 0.0),
        ("100", "percent", 1.0),
        ("0.9%", "percent", 0.009),
        ("0.8", "percent", 0.008),  # read by what was asked for, and flagged
        ("0.8", "probability", 0.8),
        (".5", "probability", 0.5),
        ("1.0", "probability", 1.0),
        ("90", "probability", 0.9),
        ("80%", "probability", 0.8),
        ("101%", "percent", None),
        ("-5%", "percent", None),
        ("about 80%", "percent", None),
        ("80-90%", "percent", None),
        ("high", "percent", None),
        ("", "percent", None),
        ("nan", "probability", None),
        ("1e-3", "probability", None),
        ("8" * 400, "percent", None),
        ("٨٠%", "percent", None),
    ],
)
def test_numbers_are_read_by_what_was_asked_for(said: str, form: str, value: float | None) -> None:
    found, odd = read_confidence(said, form)  # type: ignore[arg-type]
    assert found == (None if value is None else pytest.approx(value))
    assert (value is not None) or odd


def test_odd_numbers_are_flagged() -> None:
    assert read_confidence("90", "probability")[1]
    assert read_confidence("0.8", "percent")[1]
    assert read_confidence("80%", "percent")[1] == ""
    with pytest.raises(ConfigError):
        read_confidence("80%", "words")  # type: ignore[arg-type]


def test_the_last_pair_behind_the_thought_counts() -> None:
    text = "<think><answer>1</answer><confidence>10%</confidence></think><answer>2</answer> or <ANSWER> 3 </Answer>"
    assert last_tag(text, "answer") == "3"
    assert last_tag(text, "confidence") is None
    assert read_stated(text).problem == "there is no confidence tag"
    assert last_tag("<think>so <answer>1</answer>", "answer") is None  # the thought never ended
    assert last_tag("</answer>5<answer>", "answer") is None
    assert read_stated("<answer>a</answer><confidence>0.25</confidence>", "probability") == ("a", 0.25, "")
    assert read_stated("<confidence>25%</confidence>") == (None, 0.25, "there is no answer tag")


@pytest.mark.parametrize(
    ("answer", "attempt"),
    [
        ("42", True),
        ("None of them", True),
        ("I know that it is 7", True),
        ("Unknown Pleasures", True),
        ("I don't know", False),
        ("I don\u2019t know.", False),
        ("i do not know the answer to this", False),
        ("I cannot answer that", False),
        ("unknown", False),
        ("N/A", False),
        ("Not sure.", False),
        ("", False),
        ("  ", False),
        ("?", False),
    ],
)
def test_saying_that_one_does_not_know_is_no_attempt(answer: str, *, attempt: bool) -> None:
    assert is_attempt(answer) is attempt


@given(st.text(max_size=300), st.sampled_from(["percent", "probability"]))
def test_any_text_is_read_or_missing(text: str, form: str) -> None:
    for whole in (text, f"<answer>{text}</answer><confidence>{text}</confidence>"):
        found = read_stated(whole, form)  # type: ignore[arg-type]
        assert found.confidence is None or 0 <= found.confidence <= 1
        assert found.confidence is not None or found.problem
        assert isinstance(is_attempt(text), bool)


@given(st.integers(0, 100))
def test_every_whole_percentage_survives(value: int) -> None:
    for said, form in ((f"{value}%", "percent"), (str(value / 100), "probability")):
        assert read_confidence(said, form)[0] == pytest.approx(value / 100)  # type: ignore[arg-type]


@pytest.mark.parametrize("case", json.loads(BAD.read_text(encoding="utf-8")) if BAD.exists() else [])
def test_what_a_small_model_wrote(case: dict) -> None:
    found = read_stated(case["text"], case["form"])
    assert found.confidence == (None if case["confidence"] is None else pytest.approx(case["confidence"]))
    assert found.answer == case["answer"]
