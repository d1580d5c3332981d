"""JSON in replies: found in prose and fences, mended, and never a crash on anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.engines.replies import json_values, mend, repeats, unthought

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: isinstance(value, dict | list))


def first(text: str) -> Any:
    return next(json_values(text), None)


@given(values, st.sampled_from([0, 1, None]))
def test_json_is_read_as_it_is(value: Any, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert first(text) == value
    assert mend(text) == value


@given(values)
def test_prose_and_fences_around_it_change_nothing(value: Any) -> None:
    text = json.dumps(value)
    assert first(f"Sure, here it is: {text} Is that fine?") == value
    assert first(f"First ```[1]``` no:\n```json\n{text}\n```\nDone {{") == value


def test_fences_come_first() -> None:
    assert first('{"a": 1} and ```json\n{"b": 2}\n```') == {"b": 2}


@given(values)
def test_cut_json_gives_a_part_or_nothing(value: Any) -> None:
    text = json.dumps(value)
    for end in range(len(text)):
        found = mend(text[:end])
        assert found is None or isinstance(found, type(value))


@given(st.text(alphabet="{}[]\",:\\'ab1 \n\u201c\u2019"))
def test_any_text_is_survived(text: str) -> None:
    for value in json_values(text):
        assert isinstance(value, dict | list)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2,],}', {"a": [1, 2]}),
        ("{'a': 'it''s'", None),
        ("{'a': 'it is', 'b': True, 'c': None}", {"a": "it is", "b": True, "c": None}),
        ("{'a': 'Ann's bag'}", {"a": "Ann's bag"}),
        ("{\u201ca\u201d: \u201cb\u201d}", {"a": "b"}),
        (r'{"a": "\frac{1}{2} \alpha"}', {"a": "\frac{1}{2} \\alpha"}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ('{"a": "x", "b": "cut of', {"a": "x", "b": "cut of"}),
        ('{"a": [{"t": "x"}, {"t": "y"}, {"t', {"a": [{"t": "x"}, {"t": "y"}]}),
        ('{"a": 1, "b": ', {"a": 1}),
        ("{'a': \"say \\'x\\'\"}", {"a": "say 'x'"}),
    ],
)
def test_faults_are_mended(text: str, value: Any) -> None:
    assert mend(text) == value


def test_valid_escapes_are_left_alone() -> None:
    assert first(r'{"a": "one\ntwo \"x\" \\ \u00e9"}') == {"a": 'one\ntwo "x" \\ \u00e9'}
    # Only where the first parse fails are lone backslashes doubled (card 38); \f of \frac is a valid escape.
    assert first(r'{"a": "\sqrt{2}\n"}') == {"a": "\\sqrt{2}\n"}


@pytest.mark.parametrize("text", ["", "no json", "{bad}", "{", "[", "]", "{]", '"text"', "42", "[[[[[" * 5000])
def test_what_holds_none_gives_none(text: str) -> None:
    assert [v for v in json_values(text) if v] == []


def test_thoughts_are_not_read() -> None:
    assert unthought('<think>maybe {"a": 1}</think>\nYes') == "Yes"
    assert unthought("so <thinking>never closed") == "so"
    assert first('<think>{"a": 1}</think>{"a": 2}') == {"a": 2}


def test_a_copy_that_was_cut_is_one_too() -> None:
    prompt = 'Reply in this form:\n{"tasks": [{"title": "at most 8 words", "content": "what to do"}]}'
    for cut in ('"', '"what', '"what to do"}', ""):
        assert repeats('{"tasks": [{"title": "at most 8 words", "content": ' + cut, prompt)
    assert not repeats('{"tasks": [{"title": "at most 8 words", "content": "whatever is left', prompt)
    assert not repeats('{"tasks": [{"title": "Count", "content": "what', prompt)


@pytest.mark.parametrize(
    "reply", ['{"answer": "4"}', "{'answer': '4'}", '{"answer": "y"}', '```json\n{"answer": "4"}\n```']
)
def test_a_whole_reply_with_a_short_text_is_no_copy(reply: str) -> None:
    assert not repeats(reply, 'Reply in this form:\n{"answer": "42", "why": "your reason"}')


PROMPT = 'Given {"x": "y"}. Reply in this form: {"steps": ["the first goal", "the second"], "level": 3}'


@pytest.mark.parametrize(
    ("reply", "repeated"),
    [
        ('{"steps": ["The first goal", "the second"], "level": 3}', True),
        ('Sure: {"steps": ["the first goal"]}', True),
        ('{"steps": ["the first goal", "count them"]}', False),
        ('{"x": "y"}', False),
        ('{"level": 3}', False),
        ("the first goal", False),
        ("", False),
    ],
)
def test_a_copy_of_the_example_is_told(reply: str, repeated: bool) -> None:
    assert repeats(reply, PROMPT) is repeated
    assert not repeats(reply, "no example")


def test_a_long_broken_text_is_given_up_soon() -> None:
    assert list(json_values('{"a' * 20_000)) == []
    assert len(list(json_values('{"a": 1} ' * 500))) <= 250
