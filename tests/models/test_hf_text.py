from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.models._hf_text import Spelling, split_thinking


def decode(ids: list[int]) -> str:
    """A tokenizer of bytes: characters of several bytes come in parts."""
    return bytes(ids).decode("utf-8", "replace")


def spell(text: str, stops: tuple[str, ...] = ()) -> tuple[Spelling, str]:
    spelling, shown = Spelling(decode, stops=stops), ""
    for byte in text.encode():
        shown += spelling.push(byte)
        assert spelling.text.startswith(shown)
        if spelling.stopped:
            break
    return spelling, shown + spelling.finish()


@given(st.text())
def test_pieces_and_stream_spell_the_text(text: str) -> None:
    spelling, shown = spell(text)
    assert shown == spelling.text == "".join(spelling.texts) == text
    assert len(spelling.texts) == len(text.encode())


@given(st.text("abé"), st.lists(st.text("abé", min_size=1), max_size=3))
def test_text_ends_before_the_first_stop_string(text: str, stops: list[str]) -> None:
    spelling, shown = spell(text, tuple(stops))
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    # The stop string that is complete first ends the text; of those complete at once the one that began first.
    first = min(ends, default=None)
    starts = [first - len(stop) for stop in stops if first is not None and text[:first].endswith(stop)]
    assert shown == spelling.text == "".join(spelling.texts) == (text if first is None else text[: min(starts)])
    assert (spelling.stopped is not None) == (first is not None)


def test_half_a_character_at_the_end_is_shown_as_broken() -> None:
    spelling = Spelling(decode)
    assert spelling.push(0xC3) == ""
    assert spelling.finish() == "\ufffd"
    assert spelling.texts == ("\ufffd",)


def test_tokens_before_lend_their_context() -> None:
    def words(ids: list[int]) -> str:  # a decoder that drops the first space
        return "".join(f" w{i}" for i in ids).lstrip()

    spelling = Spelling(words, before=(1, 2))
    assert spelling.push(3) == " w3"


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("plain", False, (None, "plain", 0)),
        ("<think>why</think>\n\nso", False, ("why", "so", 18)),
        ("why</think>so", True, ("why", "so", 11)),
        ("never closed", True, ("never closed", "", 12)),
        ("\n<think>\nwhy\n</think>so", False, ("why", "so", 21)),
        ("a <think>quoted</think>", False, (None, "a <think>quoted</think>", 0)),
    ],
)
def test_thinking_is_split_at_its_tags(text: str, opened: bool, expected: tuple[object, ...]) -> None:
    assert split_thinking(text, opened=opened) == expected
