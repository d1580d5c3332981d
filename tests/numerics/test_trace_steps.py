from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.numerics.trace_steps import classify_step, join_kept, split_trace, without_conclusion

TRACE = """We have 3 bags of 4 apples each, so there are 3 * 4 = 12 apples.

Wait, let me double check. 4 + 4 + 4 = 12, so that is right.

Alternatively, we can add up: 4 + 4 = 8, then 8 + 4 = 12.

Hmm, I made a mistake earlier: there are 3 bags.

So the answer is 12.
"""


def test_a_trace_is_split_at_blank_lines_and_markers() -> None:
    steps = split_trace(TRACE, least=3)
    assert "".join(steps) == TRACE
    assert [classify_step(step) for step in steps] == ["P", "V", "M", "E", "P"]
    within = "We add. 2 + 2 = 4. Let me verify that. Two and two is four."
    assert split_trace(within, least=1) == ["We add. 2 + 2 = 4. ", "Let me verify that. Two and two is four."]


def test_short_pieces_join_what_stands_before_them() -> None:
    text = "one two three\n\nfour\n\nfive six seven eight"
    assert split_trace(text, least=1) == ["one two three\n\n", "four\n\n", "five six seven eight"]
    assert split_trace(text, least=3) == ["one two three\n\nfour\n\n", "five six seven eight"]
    assert split_trace(text, least=30) == [text]
    assert split_trace("a\nb", least=1) == ["a\n", "b"]  # without blank lines, line breaks part it
    assert split_trace(" \n ") == []
    with pytest.raises(ConfigError):
        split_trace("a", least=0)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ("Let me check this result.", "V"),
        ("Let\u2019s verify: 3 * 4 = 12", "V"),
        ("Hold on, is that right?", "V"),
        ("Wait, no, that is wrong.", "E"),
        ("Oops, I forgot the minus sign.", "E"),
        ("Let me check. I made a mistake above.", "E"),
        ("Another way to see this: symmetry.", "M"),
        ("Let's try a different idea.", "M"),
        ("First, multiply both sides.", "P"),
        ("The check was paid by Ann.", "P"),
        ("The waiter brings 3 plates.", "P"),
        ("", "P"),
    ],
)
def test_markers_near_the_beginning_say_what_a_step_is(step: str, kind: str) -> None:
    assert classify_step(step) == kind


def test_a_marker_far_inside_a_step_says_nothing() -> None:
    assert classify_step("x " * 200 + "let me check") == "P"


@given(st.text(alphabet="ab .!?\nWait,letmchk", max_size=300), st.integers(1, 6))
def test_steps_spell_the_trace(text: str, least: int) -> None:
    steps = split_trace(text, least=least)
    assert "".join(steps) == (text if text.strip() else "")
    assert all(step.strip() for step in steps)
    assert join_kept(steps, range(len(steps))) == "".join(steps)


def test_what_is_kept_ends_as_the_trace_did() -> None:
    assert join_kept(["a\n\n", "b\n\n", "c\n"], [0, 1]) == "a\n\nb\n"
    assert join_kept(["a\n\n", "b\n\n", "c"], [0]) == "a"
    assert join_kept(["a"], []) == ""


def test_the_conclusion_is_hidden_where_it_states_the_answer() -> None:
    assert without_conclusion(["x. ", "We add. So it is 12."], "12") == ["x. ", "We add. "]
    assert without_conclusion(["x. ", "It is 12."], "12") == ["x. ", ""]
    assert without_conclusion(["We get 12. Then we stop."], "12") == [
        "We get 12. Then we stop."
    ]  # not the last sentence
    assert without_conclusion(["It is 123."], "12") == ["It is 123."]
    assert without_conclusion([], "12") == []
