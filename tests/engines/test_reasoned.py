"""One thought and its answer as a candidate: with and without thinking, broken off, failed."""

from __future__ import annotations

from ponder import Budget, Context, Meter, Request, ScriptedModel, Task
from ponder.core.errors import ProviderError
from ponder.core.trace import Trace
from ponder.engines.reasoned import Reasoned, reason
from ponder.engines.thinking import MARKERS, Pace, asked

TASK = Task.of("How many?", answer="number")


def reply(request: Request, number: int) -> str:
    return "42 </end> more" if "</think>" in request.prefix else "let me see"


async def run(model: ScriptedModel, pace: Pace | None, *, markers: str = "think", budget: Budget | None = None):
    ctx = Context(models={"policy": model}, meter=Meter(budget), trace=Trace(), method="test")
    kind = MARKERS[markers]
    messages = TASK.messages if pace is None else asked(TASK.messages, kind)
    found = await reason(ctx, messages, markers=kind, pace=pace, answer=9, path=(TASK.id, 0), ends=("</end>",))
    assert ctx.meter.in_flight == 0
    return found, ctx


async def test_a_thought_and_its_answer_are_one_candidate() -> None:
    model = ScriptedModel(replies=reply)
    found, ctx = await run(model, Pace(budget=8))
    candidate = found.candidate(TASK, ctx, 3, part="x")
    assert (candidate.index, candidate.answer, candidate.finish) == (3, "42", "stop")
    assert candidate.message is not None
    assert (candidate.text, candidate.message.reasoning) == ("42 ", "let me see\n")
    assert candidate.metadata["thinking_tokens"] == 3
    assert candidate.metadata["part"] == "x"
    assert ctx.candidates == [candidate]
    assert ctx.meter.nominal["policy"].thinking_tokens == 3


async def test_without_a_pace_the_thought_is_closed_empty() -> None:
    model = ScriptedModel(replies=reply)
    found, ctx = await run(model, None)
    assert model.log[0].prompt == "How many?<think>\n\n</think>\n\n"
    assert found.thought is None
    assert found.candidate(TASK, ctx, 0).metadata["thinking_tokens"] == 0


async def test_models_asked_for_notes_are_asked_for_none_without_a_pace() -> None:
    model = ScriptedModel(replies=["7"])
    await run(model, None, markers="scratchpad")
    assert model.log[0].prompt == "How many?"


async def test_what_is_broken_off_is_cancelled_and_what_failed_is_said() -> None:
    found, ctx = await run(ScriptedModel(replies=reply), Pace(budget=8), budget=Budget(calls=1))
    assert found.ledger.interrupted is not None
    assert found.candidate(TASK, ctx, 0).finish == "cancelled"
    found, ctx = await run(ScriptedModel(replies=[ProviderError("down")]), Pace(budget=8))
    failed = found.candidate(TASK, ctx, 0)
    assert isinstance(found, Reasoned)
    assert (failed.ok, "down" in str(failed.error), ctx.candidates) == (False, True, [])
