"""A call that stands alone goes out in the caller's own task, and is admitted, stopped and settled like any other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ponder import Budget, Context, Message, Meter, Request, Sampling, ScriptedModel, Trace
from ponder.core.errors import Interrupted, ProviderError
from ponder.core.siblings import Draw

REQUEST = Request(messages=(Message("user", "one two three"),), sampling=Sampling(max_tokens=4))


def context(replies: Any = ("four five",), budget: Budget | None = None, **options: Any) -> Context:
    models = {"policy": ScriptedModel(replies=replies, **options)}
    return Context(models=models, meter=Meter(budget), trace=Trace(), sampling=Sampling(max_tokens=4))


async def alone(ctx: Context, name: str = "x") -> Draw:
    (draw,) = await ctx.model().sample(REQUEST, path=(name,))
    return draw


async def test_it_needs_no_task_of_its_own() -> None:
    tasks: list[int] = []

    def reply(request: Request, number: int) -> str:
        tasks.append(len(asyncio.all_tasks()))
        return "four"

    before = len(asyncio.all_tasks())
    draw = await alone(context(reply))
    assert draw.completion is not None
    assert draw.completion.text == "four"
    assert tasks == [before]


async def test_it_draws_what_it_draws_among_siblings() -> None:
    def reply(request: Request, number: int) -> str:
        return str(request.seed)

    lone = await alone(context(reply))
    among = await context(reply).model().sample(Request(messages=REQUEST.messages, n=3), path=("x",))
    assert lone.completion is not None
    assert among[0].completion is not None
    assert lone.completion.text == among[0].completion.text


async def test_a_stop_breaks_it_off() -> None:
    ctx = context(["a b c d"], latency=60.0, stream=True)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(alone(ctx))
        await asyncio.sleep(0)
        assert ctx.meter.in_flight == 1
        ctx.meter.stop(Interrupted("enough", reason="cancelled"))
    draw = asked.result()
    assert draw.interrupted is not None
    assert draw.interrupted.reason == "cancelled"
    assert ctx.meter.in_flight == 0
    assert ctx.meter.paid["policy"].calls == 1


async def test_a_stop_before_it_costs_nothing() -> None:
    ctx = context()
    ctx.meter.stop(Interrupted("enough", reason="cancelled"))
    draw = await alone(ctx)
    assert draw.interrupted is not None
    assert "policy" not in ctx.meter.paid


async def test_a_cancelled_caller_settles_it() -> None:
    ctx = context(latency=60.0)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(alone(ctx))
        await asyncio.sleep(0)
        assert ctx.meter.in_flight == 1
        asked.cancel()
    assert asked.cancelled()
    assert ctx.meter.in_flight == 0
    assert ctx.meter.paid["policy"].calls == 1


async def test_it_waits_for_room_and_gives_its_place_up_when_cancelled() -> None:
    ctx = context(budget=Budget(tokens=9), latency=0.3)
    async with asyncio.TaskGroup() as group:
        first, second, third = (group.create_task(alone(ctx, name)) for name in ("first", "second", "third"))
        await asyncio.sleep(0)
        assert ctx.meter.in_flight == 1, "seven of nine tokens are held"
        second.cancel()
    draws = first.result(), third.result()
    assert draws[0].completion is not None
    assert draws[0].usage.tokens == 5
    assert draws[1].completion is not None, "four tokens are left: three to read and one to write"
    assert draws[1].completion.text == "four"
    assert (ctx.meter.in_flight, ctx.meter.spent.calls) == (0, 2)


async def test_failures_and_faults_are_told_apart() -> None:
    draw = await alone(context([ProviderError("no")]))
    assert str(draw.error) == "no"

    def broken(request: Request, number: int) -> str:
        raise RuntimeError("a fault of the back-end")

    ctx = context(broken)
    with pytest.raises(RuntimeError, match="a fault"):
        await alone(ctx)
    assert ctx.meter.in_flight == 0
