"""The client's wishes on the calls of a method."""

from __future__ import annotations

from typing import Any

from ponder.core.model import Request
from ponder.core.task import Message
from ponder.gateway.shaped import Shape, Shaped
from ponder.models.scripted import ScriptedModel

TASK = (Message("user", "the question"),)
OTHER = (Message("user", "judge this"),)


class Sink:
    """Takes everything."""

    def token(self, index: int, text: str, count: int = 1) -> None:
        pass

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


async def test_answers_come_whole_only_where_nobody_needs_their_parts() -> None:
    class Noting(ScriptedModel):
        async def generate(self, request: Request, sink: Any = None) -> Any:
            sinks.append(sink is not None)
            return await super().generate(request, sink)

    sinks: list[bool] = []
    for streams, alone in ((False, True), (False, False), (True, True)):
        model = Shaped(Noting(), Shape(), TASK, streams=streams, alone=alone)
        await model.generate(Request(messages=TASK), Sink())
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
