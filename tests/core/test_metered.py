from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core.access import Access
from ponder.core.budget import Budget, Meter
from ponder.core.context import Context
from ponder.core.errors import (
    BadInput,
    BadReply,
    EndpointDown,
    Interrupted,
    OutOfBudget,
    ProviderError,
    RateLimited,
    RequestRefused,
)
from ponder.core.model import Completion, Model, ModelInfo, Request, Sampling, Sink
from ponder.core.siblings import Draw
from ponder.core.store import Store
from ponder.core.task import Message
from ponder.core.trace import Trace
from ponder.core.usage import Usage
from ponder.models.scripted import ScriptedModel

PROMPT = (Message("user", "one two three"),)
TOGETHER = frozenset(Access)


def request(n: int = 1, max_tokens: int = 10) -> Request:
    return Request(messages=PROMPT, n=n, sampling=Sampling(max_tokens=max_tokens))


def context(model: Model, budget: Budget | None = None, store: Store | None = None, seed: int = 0) -> Context:
    return Context(models={"policy": model}, meter=Meter(budget), trace=Trace(), store=store, seed=seed)


async def draw(ctx: Context, n: int, max_tokens: int = 10) -> list[Draw]:
    return await ctx.model().sample(request(n, max_tokens), path=("sample", "t"))


def texts(draws: Sequence[Draw]) -> list[str | None]:
    return [None if d.completion is None else d.completion.text for d in draws]


@pytest.mark.parametrize("access", [TOGETHER, TOGETHER - {Access.N}])
async def test_siblings_have_the_same_text_alone_in_groups_and_in_any_order(access: frozenset[Access]) -> None:
    replies = [f"reply {k}" for k in range(7)]
    whole = texts(await draw(context(ScriptedModel(replies=replies, access=access)), 7))
    slow = texts(await draw(context(ScriptedModel(replies=replies, access=access, latency=(0.0, 0.01))), 7))
    ctx = context(ScriptedModel(replies=replies, access=access))
    parts = [await ctx.model().sample(request(1), path=("sample", "t"), first=k) for k in range(7)]
    assert whole == slow == [texts(part)[0] for part in parts]
    assert len(set(whole)) == 7


async def test_one_request_carries_all_admitted_siblings() -> None:
    class Counting(ScriptedModel):
        sizes: list[int]

        async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
            self.sizes.append(request.n)
            return await super().generate(request, sink)

    model = Counting(access=TOGETHER)
    model.sizes = []
    await draw(context(model), 8)
    assert model.sizes == [8]


async def test_budget_of_calls_admits_a_prefix_and_refuses_the_rest() -> None:
    ctx = context(ScriptedModel(latency=(0.0, 0.01)), Budget(calls=5))
    draws = await draw(ctx, 20)
    assert [d.completion is not None for d in draws] == [True] * 5 + [False] * 15
    assert all(isinstance(d.interrupted, OutOfBudget) for d in draws[5:])
    assert ctx.meter.spent.calls == 5


@settings(max_examples=40)
@given(
    tokens=st.integers(4, 120),
    latency=st.floats(0, 0.002),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    together=st.booleans(),
)
def test_token_budget_gives_the_same_draws_as_one_call_after_another(
    tokens: int, latency: float, lengths: list[int], together: bool
) -> None:
    replies = [" ".join(f"w{k}" for k in range(length)) for length in lengths]
    access = TOGETHER if together else TOGETHER - {Access.N}

    async def both() -> None:
        model = ScriptedModel(replies=replies, latency=(0.0, latency), access=access)
        parallel = context(model, Budget(tokens=tokens))
        drawn = await draw(parallel, 12, max_tokens=8)
        serial = context(ScriptedModel(replies=replies), Budget(tokens=tokens))
        one_by_one = []
        for index in range(12):
            one_by_one += await serial.model().sample(request(1, 8), path=("sample", "t"), first=index)
        assert texts(drawn) == texts(one_by_one)
        assert parallel.meter.spent == serial.meter.spent
        assert parallel.meter.spent.tokens <= tokens

    asyncio.run(both())


async def test_two_hundred_samples_never_exceed_a_budget_for_fifty() -> None:
    peak = 0

    class Watching(ScriptedModel):
        async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
            nonlocal peak
            meter = ctx.meter
            peak = max(peak, int(meter._spent["calls"] + meter._reserved["calls"]))
            return await super().generate(request, sink)

    ctx = context(Watching(latency=(0.0, 0.005), fail_every=7), Budget(calls=50, completion_tokens=400))
    draws = await draw(ctx, 200)
    assert peak <= 50
    assert ctx.meter.spent.calls <= 50
    assert ctx.meter.spent.completion_tokens <= 400
    assert ctx.meter.in_flight == 0
    assert sum(d.error is not None for d in draws) == 7
    assert len(draws) == 200


async def test_decision_sees_the_prefix_and_drops_the_rest() -> None:
    seen: list[int] = []

    async def until(draws: Sequence[Draw]) -> bool:
        seen.append(len(draws))
        return len(draws) == 3

    ctx = context(ScriptedModel(replies=[f"r{k}" for k in range(9)], latency=(0.0, 0.01)))
    draws = await ctx.model().sample(request(9), path=("sample", "t"), until=until)
    assert seen == [1, 2, 3]
    assert len(draws) == 3
    assert ctx.meter.nominal["policy"].calls == 3
    assert ctx.meter.paid["policy"].calls == 9
    assert ctx.meter.in_flight == 0


async def test_stored_reply_is_nominal_but_not_paid() -> None:
    store, model = Store(), ScriptedModel(replies=["a b", "c d e"])
    first, second = context(model, store=store), context(model, store=store)
    assert texts(await draw(first, 6)) == texts(await draw(second, 6))
    assert first.meter.nominal == second.meter.nominal
    assert second.meter.paid["policy"].calls == 0
    assert model.calls == 6


async def test_equal_calls_in_flight_are_made_once() -> None:
    store, model = Store(), ScriptedModel(latency=0.01)
    ctx = context(model, store=store)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(draw(ctx, 1)) for _ in range(10)]
    assert len({texts(task.result())[0] for task in tasks}) == 1
    assert model.calls == 1
    assert ctx.meter.nominal["policy"].calls == 10
    assert ctx.meter.paid["policy"].calls == 1


async def test_waiting_for_an_equal_call_that_fails_makes_the_call() -> None:
    store, model = Store(), ScriptedModel(latency=0.01, fail_every=2, replies=["x"])
    model.calls = 1  # so that the first one fails
    ctx = context(model, store=store)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(draw(ctx, 1)) for _ in range(2)]
    assert [task.result()[0].error is None for task in tasks] == [False, True]


@pytest.mark.parametrize(
    ("error", "tokens"),
    [(RateLimited("slow"), 0), (RequestRefused("no"), 0), (BadReply("half"), 13), (ProviderError("?"), 13)],
)
async def test_failed_call_costs_nothing_only_where_nothing_was_done(error: ProviderError, tokens: int) -> None:
    ctx = context(ScriptedModel(replies=[error]), Budget(calls=3))
    (drawn,) = await draw(ctx, 1)
    assert drawn.error is error
    assert (ctx.meter.spent.calls, ctx.meter.spent.tokens) == (1, tokens)


async def test_cost_of_failed_attempts_is_paid_once_for_the_request() -> None:
    error = RateLimited("slow")
    error.spent = Usage(calls=1, prompt_tokens=30, completion_tokens=4)
    ctx = context(ScriptedModel(replies=[error], access=TOGETHER), Budget(tokens=500))
    draws = await draw(ctx, 3)
    assert all(d.error is error for d in draws)
    assert ctx.meter.paid["policy"].tokens == 34
    assert ctx.meter.nominal["policy"].tokens == 0
    assert ctx.meter.left("tokens") == 466


async def test_dead_endpoint_stops_the_run() -> None:
    ctx = context(ScriptedModel(dies_after=2))
    draws = await draw(ctx, 5)
    assert [d.completion is not None for d in draws] == [True, True, False, False, False]
    assert any(isinstance(d.error, EndpointDown) for d in draws)
    assert ctx.meter.stopped is not None
    assert ctx.meter.stopped.reason == "endpoint"


class StopsAfter(ScriptedModel):
    """Stops the run once each of two calls has said two words."""

    meter: Meter | None = None
    words = 0

    async def _wait(self, reply: object, request: Request, index: int, sink: Sink | None) -> None:
        assert sink is not None
        for word in ("a", " b"):
            await asyncio.sleep(0)
            sink.token(index, word)
            self.words += 1
        if self.words == 4 and self.meter is not None:
            self.meter.stop(Interrupted("now", reason="cancelled"))
        await asyncio.sleep(60)


async def test_stop_breaks_off_what_is_in_flight_and_keeps_the_part_that_came() -> None:
    model = StopsAfter(replies=["a b c d e f g h"], stream=True)
    ctx = context(model)
    model.meter = ctx.meter
    draws = await draw(ctx, 2)
    for drawn in draws:
        assert drawn.interrupted is not None
        assert drawn.completion is not None
        assert drawn.completion.text == "a b"
        assert drawn.completion.finish == "cancelled"
        assert drawn.usage.completion_tokens == 2
        assert not drawn.usage.exact


async def test_outside_cancellation_settles_everything() -> None:
    ctx = context(ScriptedModel(latency=5), Budget(calls=100))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await draw(ctx, 10)
    assert ctx.meter.in_flight == 0
    assert ctx.meter.spent.calls == 10


async def test_prompt_without_room_for_an_answer_is_refused_before_sending() -> None:
    model = ScriptedModel(info=ModelInfo(fingerprint="s", context=3))
    ctx = context(model)
    with pytest.raises(BadInput, match="takes 3 in all"):
        await draw(ctx, 2)
    assert model.calls == 0
    model.info = ModelInfo(fingerprint="s", context=5)
    assert [d.completion is not None for d in await draw(ctx, 2)] == [True, True]


async def test_back_end_that_returns_too_few_answers_is_a_bad_reply() -> None:
    class Short(ScriptedModel):
        async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
            return (await super().generate(request))[:1]

    draws = await draw(context(Short(access=TOGETHER)), 3)
    assert all(isinstance(d.error, BadReply) for d in draws)


async def test_usage_that_lies_ends_the_run_and_keeps_the_answers() -> None:
    ctx = context(ScriptedModel(lie=50), Budget(completion_tokens=1000))
    draws = await draw(ctx, 4)
    assert ctx.meter.stopped is not None
    assert ctx.meter.stopped.reason == "overrun"
    assert draws[0].completion is not None
    assert ctx.meter.spent.completion_tokens >= 51


async def test_trace_has_one_closed_span_for_each_call() -> None:
    ctx = context(ScriptedModel(latency=(0.0, 0.01), fail_every=3), Budget(calls=6))
    await draw(ctx, 9)
    opened = [e.id for e in ctx.trace.events if e.phase == "open"]
    closed = [e.id for e in ctx.trace.events if e.phase == "close"]
    assert sorted(opened) == sorted(closed)
    assert len(opened) == 6


async def test_faulty_back_end_leaves_as_one_plain_exception() -> None:
    class Broken(ScriptedModel):
        async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
            raise ZeroDivisionError("a bug")

    ctx = context(Broken())
    with pytest.raises(ZeroDivisionError):
        await draw(ctx, 3)
    assert ctx.meter.in_flight == 0


async def test_hole_in_the_store_keeps_the_seeds_of_the_siblings_around_it() -> None:
    model, store = ScriptedModel(replies=[f"reply {k}" for k in range(7)], access=TOGETHER), Store()
    expected = texts(await draw(context(model), 4))
    await context(model, store=store).model().sample(request(), path=("sample", "t"), first=1)
    assert texts(await draw(context(model, store=store), 4)) == expected


async def test_decision_before_sending_gives_back_reservations_and_claims() -> None:
    model, store = ScriptedModel(), Store()
    await draw(context(model, store=store), 2)
    ctx = context(model, Budget(calls=5), store)

    async def until(draws: Sequence[Draw]) -> bool:
        return len(draws) == 2

    await ctx.model().sample(request(4), path=("sample", "t"), until=until)
    assert (ctx.meter.in_flight, ctx.meter.left("calls"), model.calls) == (0, 3, 2)
    async with asyncio.timeout(5):
        await draw(context(model, store=store), 4)


async def test_reservation_admitted_while_deciding_is_given_back() -> None:
    ctx = context(ScriptedModel(replies=["a b"], latency=0.01), Budget(tokens=34))

    async def until(draws: Sequence[Draw]) -> bool:
        await asyncio.sleep(0.05)
        return True

    await ctx.model().sample(request(4), path=("sample", "t"), until=until)
    assert ctx.meter.in_flight == 0


async def test_calls_made_while_deciding_do_not_block_the_queue() -> None:
    ctx = context(ScriptedModel(replies=["a b"], latency=(0.01, 0.1)), Budget(tokens=60))

    async def until(draws: Sequence[Draw]) -> bool:
        await ctx.model("judge").sample(request(), path=("judge", len(draws)))
        return False

    async with asyncio.timeout(5):
        await ctx.model().sample(request(12), path=("sample", "t"), until=until)
    assert ctx.meter.in_flight == 0


async def test_stop_ends_the_wait_for_an_equal_call_of_another_run() -> None:
    model, store = ScriptedModel(latency=60.0), Store()
    async with asyncio.TaskGroup() as group:
        other = group.create_task(draw(context(model, store=store), 1))
        await asyncio.sleep(0)
        ctx = context(model, store=store)
        waiting = group.create_task(draw(ctx, 1))
        await asyncio.sleep(0.01)
        ctx.meter.stop(Interrupted("late", reason="deadline"))
        async with asyncio.timeout(5):
            (drawn,) = await waiting
        assert (drawn.interrupted is not None, drawn.usage, model.calls) == (True, Usage(), 1)
        other.cancel()


async def test_equal_call_that_ends_before_the_wait_begins_is_not_repeated() -> None:
    gate = asyncio.Event()

    class Gated(ScriptedModel):
        async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
            await gate.wait()
            return await super().generate(request, sink)

    model, store = Gated(), Store()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(draw(context(model, store=store), 1))
        await asyncio.sleep(0.01)
        second = group.create_task(draw(context(model, store=store), 1))
        gate.set()
    assert texts(first.result()) == texts(second.result())
    assert model.calls == 1


async def test_second_stop_from_above_finds_the_call_being_broken_off() -> None:
    class Slow(ScriptedModel):
        async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.03)
            return []

    root = Meter()
    ctx = Context(models={"policy": Slow()}, meter=Meter(parent=root), trace=Trace())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(draw(ctx, 1))
        await asyncio.sleep(0.01)
        ctx.meter.stop(Interrupted("late", reason="deadline"))
        await asyncio.sleep(0.01)
        root.stop(Interrupted("enough", reason="cancelled"))
    (drawn,) = running.result()
    assert drawn.interrupted is not None
    assert drawn.interrupted.reason == "deadline"


async def test_what_a_prefix_cache_served_is_paid_less_but_costs_the_same() -> None:
    info = ModelInfo(
        fingerprint="m", usd_per_prompt_token=1e-3, usd_per_cached_token=1e-4, usd_per_completion_token=1e-3
    )
    nominal, paid = [], []
    for cached in (0, 3):
        usage = Usage(calls=1, prompt_tokens=3, cached_tokens=cached, completion_tokens=1)
        reply = Completion(message=Message("assistant", "7"), finish="stop", usage=usage)
        ctx = context(ScriptedModel(replies=[reply], info=info))
        (drawn,) = await draw(ctx, 1)
        nominal.append((drawn.usage, ctx.meter.nominal["policy"]))
        paid.append(ctx.meter.paid["policy"].usd or 0.0)
    assert nominal[0] == nominal[1]
    assert paid[1] < paid[0]


async def test_stop_of_a_nested_run_refuses_its_calls_behind_others_that_wait() -> None:
    model, root = ScriptedModel(latency=60.0), Meter(Budget(calls=1))
    outer = Context(models={"policy": model}, meter=root, trace=Trace())
    inner = Context(models={"policy": model}, meter=Meter(parent=root), trace=Trace())
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(draw(outer, 1))
        await asyncio.sleep(0)
        behind = group.create_task(draw(inner, 1))
        await asyncio.sleep(0.01)
        inner.meter.stop(Interrupted("late", reason="deadline"))
        async with asyncio.timeout(5):
            (drawn,) = await behind
        assert drawn.interrupted is not None
        root.stop(Interrupted("enough", reason="cancelled"))
