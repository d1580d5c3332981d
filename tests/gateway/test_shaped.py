"""The client's wishes on the calls of a method, and tokens that are passed on once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.model import Request
from ponder.core.task import Message
from ponder.gateway.shaped import Diverged, Relay, Shape, Shaped
from ponder.models.scripted import ScriptedModel

TASK = (Message("user", "the question"),)
OTHER = (Message("user", "judge this"),)


class Spy:
    """A sink and a listener that note what they are told."""

    def __init__(self, *, live: bool = True) -> None:
        self.live = live
        self.seen = ""
        self.shown = ""
        self.count = 0

    def token(self, index: int, text: str, count: int | None = None) -> None:
        if count is None:
            self.shown += text
        else:
            self.seen += text
            self.count += count

    def prompt(self, index: int, tokens: int) -> None:
        pass

    def done(self, index: int, completion: Any) -> None:
        pass


async def test_only_the_tasks_own_calls_are_shaped() -> None:
    seen: list[Request] = []

    def look(request: Request, _: int) -> str:
        seen.append(request)
        return "x"

    shape = Shape(
        json_schema={"type": "object"}, tools=({"type": "function"},), logprobs=0, extra={"user": "u"}, seed=7
    )
    model = Shaped(ScriptedModel(replies=look), shape, TASK)
    await model.generate(Request(messages=TASK, seed=1, index=2))
    await model.generate(Request(messages=OTHER, seed=1))
    mine, other = seen
    assert mine.json_schema == {"type": "object"}
    assert (mine.tools, mine.logprobs, mine.extra, mine.seed) == (({"type": "function"},), 0, {"user": "u"}, 9)
    assert (other.json_schema, other.tools, other.logprobs, dict(other.extra), other.seed) == (None, (), None, {}, 1)


async def test_a_raw_prompt_takes_the_place_of_the_chat_and_is_counted_as_such() -> None:
    model = Shaped(ScriptedModel(), Shape(prompt="a b c d e"), TASK)
    assert model.count(Request(messages=TASK)).tokens == 5
    assert model.count(Request(messages=OTHER)).tokens == 2


async def test_a_pass_through_asks_for_nothing_of_its_own() -> None:
    shaped = Shape(fixed=True).put_on(Request(messages=TASK, certainty=True))
    assert not shaped.certainty


words = st.lists(st.text("ab ", min_size=1, max_size=3), max_size=8)


@given(words, st.integers(0, 8), words)
def test_a_repeated_answer_is_passed_on_once(said: list[str], at: int, again: list[str]) -> None:
    """Whatever the cut, and however the repetition is divided into tokens, the same text arrives once."""
    whole = "".join(said)
    spy = Spy()
    relay = Relay(spy, 1, listener=spy)
    for token in said[:at]:
        relay.token(0, token)
    relay.restart()
    rest = whole
    for size in map(len, again):  # another division of the same text
        relay.token(0, rest[:size])
        rest = rest[size:]
    relay.token(0, rest)
    assert spy.seen == spy.shown == whole
    assert spy.count == len(said[:at]) + len(again) + 1  # every token is counted: each was paid


@given(st.text("ab", min_size=1, max_size=5), st.text("ab", min_size=1, max_size=5))
def test_a_repetition_that_differs_is_refused_only_where_it_was_seen(first: str, second: str) -> None:
    same = first.startswith(second) or second.startswith(first)
    for live in (True, False):
        spy = Spy(live=live)
        relay = Relay(spy, 1, listener=spy)
        relay.token(0, first)
        relay.restart()
        if live and not same:
            with pytest.raises(Diverged):
                relay.token(0, second)
        else:
            relay.token(0, second)
        assert spy.seen.startswith(first)
        assert not spy.shown or live


async def test_answers_come_whole_only_where_nobody_needs_their_parts() -> None:
    class Noting(ScriptedModel):
        async def generate(self, request: Request, sink: Any = None) -> Any:
            sinks.append(sink is not None)
            return await super().generate(request, sink)

    sinks: list[bool] = []
    spy = Spy()
    for streams, alone in ((False, True), (False, False), (True, True)):
        model = Shaped(Noting(), Shape(), TASK, streams=streams, alone=alone)
        await model.generate(Request(messages=TASK), spy)
    assert sinks == [False, True, True]


def test_what_is_handed_through_is_part_of_a_request_and_of_a_message() -> None:
    """The store must not take two of them for one."""
    raw = {"role": "user", "content": "x", "name": "ann"}
    message = Message("user", "x", raw=raw)
    assert Message.from_json(message.to_json()) == message
    plain = Request(messages=TASK)
    assert "extra" not in plain.identity()  # keys of answers that were stored before stay as they were
    assert Request(messages=TASK, extra={"user": "u"}).identity() != plain.identity()
    assert Request(messages=(message,)).identity() != Request(messages=(Message("user", "x"),)).identity()
