"""Edits in three parts: card 01, check 6."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.edit_replies import Edit, EditReply, apply_edits, read_edits, write_edits

DRAFT = "The sun was very bright. It danced like a diamond on the tapestry of waves."
EDITS = (
    Edit("was very bright", "glared", "awkward word choice and phrasing"),
    Edit("danced like a diamond on the tapestry of waves", "broke on the waves", "purple prose"),
)
AFTER = "The sun glared. It broke on the waves."
words = st.text(alphabet="abcdefgh ", min_size=1, max_size=12).map(str.strip).filter(bool)


def test_a_reply_makes_a_round_trip() -> None:
    found = read_edits(write_edits(DRAFT, EDITS))
    assert found == EditReply(edits=EDITS, whole=AFTER)
    assert found.revision(DRAFT) == AFTER == apply_edits(DRAFT, EDITS)


@given(st.lists(words, min_size=1, max_size=6, unique=True), words)
def test_any_reply_that_is_written_is_read(spans: list[str], rewrite: str) -> None:
    draft = " | ".join(spans)
    edits = tuple(Edit(span, rewrite, "cliche") for span in spans)
    found = read_edits(write_edits(draft, edits))
    assert found.edits == edits
    assert found.whole == apply_edits(draft, edits).strip()


@pytest.mark.parametrize(
    ("reply", "revision"),
    [
        (
            "## Part 1\n- `very` - cliche\n\n**Part 2:**\n`very bright` => `glaring`\n",
            DRAFT.replace("very bright", "glaring"),
        ),
        ("Part 3: Revised\n\nA new text.", "A new text."),
        ("<think>Part 3: x\nno</think>Part 3\n`A text.`", "A text."),
        ("Part 3\nold\nPart 3\nnew", "new"),
        ("Here is a better text: hello", None),
        ("Part 2\n- `not in it` -> `x`", None),
        ("Part 3:\n  \n", None),
        ("", None),
    ],
)
def test_replies_of_other_shapes(reply: str, revision: str | None) -> None:
    assert read_edits(reply).revision(DRAFT) == revision


def test_spans_are_replaced_once_and_overlaps_are_left_alone() -> None:
    assert apply_edits("a b a", [Edit("a", "x")]) == "x b a"
    assert apply_edits("abc", [Edit("ab", "1"), Edit("bc", "2")]) == "1c"
    assert apply_edits("a b", [Edit("b", "a"), Edit("a", "c")]) == "c a"


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_read(reply: str, draft: str) -> None:
    revision = read_edits(reply).revision(draft)
    assert revision is None or revision != ""
