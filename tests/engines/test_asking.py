"""Asking until a reply can be read: what is shown again, when it is given up, and what the budget keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ponder import Access, Budget, Context, Message, Meter, ModelInfo, Request, Sampling, ScriptedModel, Trace
from ponder.core.candidate import Candidate
from ponder.core.errors import BadInput, EndpointDown, ProviderError
from ponder.core.model import Completion
from ponder.core.usage import Usage
from ponder.engines.asking import Asked, affords, ask_readable, call, numbered, prompts, visible

CHAT = [Message("user", "Give a digit.")]
Replies = Sequence[str | ProviderError | Completion] | Callable[[Request, int], str | ProviderError | Completion]


def context(replies: Replies, budget: Budget | None = None, **options: Any) -> Context:
    return Context(models={"policy": ScriptedModel(replies=replies, **options)}, meter=Meter(budget), trace=Trace())


def digit(text: str) -> int:
    if not text.isdigit():
        raise BadInput("it is not a digit")
    return int(text)


async def ask(ctx: Context, **options: Any) -> Asked[int]:
    asked = await ask_readable(ctx, CHAT, digit, path=("test",), **options)
    assert ctx.meter.in_flight == 0
    return asked


def in_turn(*replies: str | ProviderError | Completion) -> Callable[[Request, int], str | ProviderError | Completion]:
    return lambda request, number: replies[min(number, len(replies) - 1)]


async def test_a_readable_reply_costs_one_call() -> None:
    ctx = context(["7"])
    assert await ask(ctx, repairs=3) == Asked(value=7, text="7")
    assert ctx.meter.nominal["policy"].calls == 1


async def test_a_bad_reply_is_shown_with_its_fault() -> None:
    seen: list[tuple[Message, ...]] = []

    def reply(request: Request, number: int) -> str:
        seen.append(request.messages)
        return ("seven", "7")[number]

    ctx = context(reply)
    asked = await ask(ctx)
    assert (asked.value, asked.faults) == (7, ("it is not a digit",))
    question, said, complaint = seen[1]
    assert (question, said) == (CHAT[0], Message("assistant", "seven"))
    assert "it is not a digit" in complaint.text
    assert [e.data["fault"] for e in ctx.trace.events if e.kind == "repair"] == ["it is not a digit"]


async def test_it_is_given_up_after_so_many_times() -> None:
    ctx = context(["x"])
    asked = await ask(ctx, repairs=2)
    assert (asked.value, asked.text, len(asked.faults), asked.ended) == (None, "x", 3, None)
    assert ctx.meter.nominal["policy"].calls == 3


@pytest.mark.parametrize(
    ("reply", "fault"),
    [("", "it is empty"), ("I'm sorry, I can't do that.", "it refuses"), (ProviderError("broken"), "the call failed")],
)
async def test_faults_are_told_apart(reply: str | ProviderError, fault: str) -> None:
    asked = await ask(context(in_turn(reply, "7")))
    assert asked.value == 7
    assert asked.faults[0].startswith(fault)


async def test_a_refusal_outside_the_text_is_one_too() -> None:
    refused = Completion(
        message=Message("assistant", "no", refusal="not allowed"),
        finish="stop",
        usage=Usage(calls=1, completion_tokens=1),
    )
    assert (await ask(context(in_turn(refused, "7")))).faults == ("it refuses",)


async def test_a_copy_of_the_example_is_asked_again() -> None:
    ctx = context(in_turn('{"a": "The example"}', '{"a": "mine"}'))
    chat = [Message("user", 'Reply in this form: {"a": "the example"}')]
    asked = await ask_readable(ctx, chat, str, path=("test",), schema={"type": "object"})
    assert (asked.value, asked.faults) == ('{"a": "mine"}', ("it only repeats the example of the form",))


async def test_an_end_of_the_run_is_a_value() -> None:
    asked = await ask(context(["x"], Budget(tokens=1)))
    assert asked.value is None
    assert asked.ended is not None
    assert asked.ended.reason == "budget"
    down = await ask(context([EndpointDown("gone")]))
    assert down.ended is not None
    assert down.ended.reason == "endpoint"


async def test_calls_that_are_kept_are_not_asked_with() -> None:
    ctx = context(["x"], Budget(calls=3))
    asked = await ask(ctx, repairs=5, keep=1)
    assert ctx.meter.nominal["policy"].calls == 2
    assert asked.ended is None
    assert asked.faults[-1] == "the budget leaves no call for it"
    assert affords(ctx, 1)
    assert not affords(ctx, 2)


async def test_what_does_not_fit_the_context_is_not_asked_again() -> None:
    ctx = context(["7"], info=ModelInfo(fingerprint="x", context=2))
    asked = await ask(ctx, repairs=3)
    assert asked.value is None
    assert len(asked.faults) == 1
    assert not ctx.meter.nominal


@pytest.mark.parametrize("able", [True, False])
async def test_schema_goes_to_back_ends_that_take_one(able: bool) -> None:
    seen: list[object] = []

    def reply(request: Request, number: int) -> str:
        seen.append(request.json_schema)
        return "7"

    access = frozenset({Access.TEXT, Access.SEED, *([Access.SCHEMA] if able else [])})
    await ask(context(reply, access=access), schema={"type": "integer"})
    assert seen == [{"type": "integer"} if able else None]


async def test_call_returns_failures_as_values() -> None:
    outcome = await call(context([ProviderError("no")]), CHAT, path=("a",), node="n")
    assert outcome.candidate is not None
    assert (outcome.candidate.error, outcome.candidate.metadata, outcome.text) == ("no", {"node": "n"}, "")
    assert outcome.ended is None


async def test_thoughts_are_not_visible() -> None:
    outcome = await call(context(["<think>hm 3</think> 7"]), CHAT, path=("a",), law=Sampling(max_tokens=9))
    assert outcome.text == "7"
    only = Candidate(index=0, message=Message("assistant", "<think>3"))
    assert visible(only) == "<think>3"


def test_candidates_are_numbered_by_place() -> None:
    assert [c.index for c in numbered([Candidate(index=4), Candidate(index=0)])] == [0, 1]


@pytest.mark.parametrize("name", ["adaptive_graph_of_thoughts", "atom_of_thoughts", "plan_and_budget", "scale"])
def test_prompt_files_have_parts(name: str) -> None:
    parts = prompts("ponder.strategies", name)
    assert len(parts) >= 4
    assert all(part.template and part.is_valid() for part in parts.values())
