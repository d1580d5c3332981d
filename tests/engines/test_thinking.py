"""The thinking loop on scripted writers: the card's numbers, the wall of the budget, and cues where they belong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.core.task import Message
from ponder.engines.thinking import MARKERS, Markers, Pace, Piece, Thought, answer_after, asked, think


class Script:
    """Each call takes the next segment (a number of words) and cuts it."""

    def __init__(self, segments: Sequence[int]) -> None:
        self.segments, self.calls = list(segments), list[tuple[str, int]]()

    async def __call__(self, text: str, most: int) -> Piece:
        self.calls.append((text, most))
        words = self.segments.pop(0) if self.segments else 0
        kept = min(words, most)
        return Piece(" ".join("w" for _ in range(kept)), kept, "length" if kept < words else "stop")


def words(text: str, cue: str) -> int:
    return len(cue.split())


def run(segments: Sequence[int], pace: Pace) -> tuple[Thought, Script]:
    script = Script(segments)
    return asyncio.run(think(script, words, pace)), script


@pytest.mark.parametrize(
    ("segments", "cues", "tokens", "given", "finish"),
    [
        ((6,), 0, 6, 0, "stop"),
        ((20,), 0, 16, 0, "length"),
        ((20,), 3, 16, 0, "length"),  # a thought that the budget cut takes no cue
        ((6, 4, 3), 1, 11, 1, "stop"),
        ((6, 4, 3), 2, 15, 2, "stop"),
        ((6, 4, 30), 2, 16, 2, "length"),
        ((15, 1), 1, 15, 0, "stop"),  # the cue alone would fill the budget
    ],
)
def test_numbers_of_the_card_at_a_budget_of_16(
    segments: tuple[int, ...], cues: int, tokens: int, given: int, finish: str
) -> None:
    thought, _ = run(segments, Pace(budget=16, cues=cues))
    assert (thought.tokens, thought.cues, thought.finish) == (tokens, given, finish)


def test_without_cues_and_with_room_the_text_is_the_model_s_own() -> None:
    thought, script = run((5,), Pace(budget=100))
    assert thought.text == "w w w w w\n"
    assert script.calls == [("", 100)]


def test_a_cue_stands_behind_one_space_and_none_behind_a_newline() -> None:
    async def write(text: str, most: int) -> Piece:
        return Piece("a\n" if not text else "b", 1, "stop")

    thought = asyncio.run(think(write, words, Pace(budget=50, cues=2)))
    assert thought.text == "a\nWaitb Waitb\n"
    assert thought.places == (2, 7)  # where it would have ended without the next cue
    assert [thought.text[:place] for place in thought.places] == ["a\n", "a\nWaitb"]


def test_a_minimum_goes_on_until_it_is_reached_and_not_further() -> None:
    thought, _ = run((2, 2, 2, 2, 2), Pace(budget=50, minimum=7))
    assert (thought.tokens, thought.cues) == (8, 2)


def test_a_model_that_says_nothing_more_cannot_hold_the_loop() -> None:
    thought, script = run((), Pace(budget=1000, minimum=1000))
    assert thought.cues == 64
    assert len(script.calls) == 65


@given(
    segments=st.lists(st.integers(0, 12), max_size=8),
    budget=st.integers(1, 40),
    cues=st.integers(0, 6),
    share=st.floats(0, 1),
)
def test_the_budget_is_a_wall_and_every_call_has_room(
    segments: list[int], budget: int, cues: int, share: float
) -> None:
    pace = Pace(budget=budget, cues=cues, minimum=int(share * budget))
    thought, script = run(segments, pace)
    written = len(thought.text.replace("Wait", " Wait ").split())
    assert thought.tokens <= budget
    assert thought.tokens == written  # every word and every cue, nothing else
    assert thought.cues == len(thought.places) == len(script.calls) - 1 <= pace.most_cues
    assert all(most >= 1 for _, most in script.calls)


def test_the_answer_is_closed_by_how_the_thought_ended() -> None:
    script = Script((3, 3))
    for finish, closing in (("stop", MARKERS["think"].close), ("length", MARKERS["think"].cut)):
        thought = Thought(text="t\n", tokens=1, cues=0, finish=finish)  # type: ignore[arg-type]
        said, piece = asyncio.run(answer_after(script, thought, MARKERS["think"], 9))
        assert said == closing
        assert script.calls[-1] == ("t\n" + closing, 9)
        assert piece.tokens == 3


def test_only_markers_that_ask_change_the_question() -> None:
    chat = (Message("system", "s"), Message("user", "How many?"))
    assert asked(chat, MARKERS["think"]) == chat
    changed = asked(chat, MARKERS["scratchpad"])
    assert changed[0] == chat[0]
    assert changed[1].text.startswith("How many?\n\nFirst write short notes")


@pytest.mark.parametrize(
    "wrong",
    [{"budget": 0}, {"budget": 5, "cues": -1}, {"budget": 5, "minimum": 6}, {"budget": 5, "cues": 1, "cue": " "}],
)
def test_settings_without_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Pace(**wrong)  # type: ignore[arg-type]


def test_markers_without_an_end_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one text"):
        Markers(open="", close="", cut="", stops=())
