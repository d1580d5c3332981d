"""Whole runs over an HTTP endpoint: the spelling, the ledger against the server's own, and where a key might show."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import ponder
from ponder.core.budget import Budget, Meter
from ponder.core.context import Context
from ponder.core.errors import Interrupted, PonderError
from ponder.core.model import Request, Sampling
from ponder.core.result import total
from ponder.core.siblings import Draw
from ponder.core.task import Message
from ponder.core.tasks import gather_all
from ponder.core.trace import Trace
from ponder.models.openai import OpenAI
from tests.models.fault_server import FaultServer

KEY = "sk-5ecret5ecret"
FREE = ("429", "429-after", "500", "503-html", "close", "not-http")
# Of these the answer has begun: it is paid for, and the call is made again.
BROKEN = ("half-json", "no-json", "cut", "error", "ends", 'usage:{"prompt_tokens": -1}', "usage:null")
ROUNDS = [1] * 800 + [4] * 300  # 2,000 calls, 1,200 of them four to a request


def mixed(faults: tuple[str, ...], *, hangs: int = 0, seed: int = 9) -> list[str | None]:
    """One fault in four requests, by lot."""
    rng = random.Random(seed)
    script = [rng.choice(faults) if rng.random() < 0.25 else None for _ in range(20_000)]
    for place in rng.sample(range(50, 1000), hangs):
        script[place] = "hang"
    return script


def impatient(server: FaultServer, **options: Any) -> OpenAI:
    """A client that waits little between many attempts, but long enough for an answer of a server that is starved."""
    return OpenAI.from_spec(
        f"{server.url}#stub", kind="vllm", **{"backoff": 0.001, "timeout": 8.0, "retries": 12, **options}
    )


def check_answered(draws: list[Draw]) -> None:
    """Every call was answered in the end."""
    assert not [draw.error or draw.interrupted for draw in draws if draw.completion is None]


async def sample_all(context: Context) -> list[Draw]:
    """Draw the 2,000 calls, all at once, through the metered proxy."""

    def draw(place: int, n: int) -> Any:
        request = Request(messages=(Message("user", "say some words"),), n=n, sampling=Sampling(max_tokens=16))
        return partial(context.model().sample, request, path=("sample", place))

    async with asyncio.timeout(120):
        draws = await gather_all([draw(place, n) for place, n in enumerate(ROUNDS)])
    return [draw for group in draws for draw in group]


def check_settled(context: Context) -> None:
    """Every reservation was settled, and once."""
    meter = context.meter
    assert meter.in_flight == 0
    # What is neither spent nor free would be a reservation that was forgotten.
    limit = meter.budget.calls
    assert limit is not None
    assert meter.left("calls") == limit - total(meter.paid).calls
    spans = Counter(event.id for event in context.trace.events if event.kind == "call")
    assert set(spans.values()) <= {2}  # opened and closed
    noted = [e.data["paid"] for e in context.trace.events if e.kind == "call" and "paid" in e.data]
    assert sum(paid["completion_tokens"] for paid in noted) <= total(meter.paid).completion_tokens


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_an_endpoint_is_a_model_like_any_other() -> None:
    async with FaultServer(script=["500", None, "429-after"]) as server:
        result = await ponder.solve(
            "say some words", model=f"openai:{server.url}#stub", method="self_consistency", n=6, budget="calls=6"
        )
    assert result.answer
    assert sum(usage.calls for usage in result.paid.values()) == server.served.answers == 6
    assert sum(usage.completion_tokens for usage in result.paid.values()) == server.served.completion_tokens
    assert sum(usage.prompt_tokens for usage in result.paid.values()) == server.served.prompt_tokens


@pytest.mark.parametrize("right", [True, False])
async def test_no_file_of_a_run_holds_the_key(tmp_path: Path, right: bool) -> None:
    async with FaultServer(key=KEY if right else "another") as server:
        model = OpenAI.from_spec(f"{server.url}#stub", api_key=KEY)
        try:
            result = await ponder.solve(
                "say some words",
                model=model,
                method="greedy",
                store=tmp_path / "store.sqlite",
                trace=tmp_path / "trace.jsonl",
            )
            shown = repr(result) + str(result.to_json())
        except PonderError as err:
            shown = repr(err)
        await model.close()
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in shown
    written = contents(tmp_path)
    assert len(written) >= 2
    assert not [name for name, data in written.items() if KEY.encode() in data]


def context_of(model: OpenAI, **limits: Any) -> Context:
    return Context(
        models={"policy": model},
        meter=Meter(Budget(**{"calls": 20_000, "tokens": 10_000_000, **limits})),
        trace=Trace(),
    )


async def test_the_meter_agrees_with_the_server_over_two_thousand_calls_with_free_faults() -> None:
    async with FaultServer(script=mixed(FREE)) as server:
        model = impatient(server, timeout=300.0)  # none of these faults hangs; giving up an answer would be paid for
        context = context_of(model)
        draws = await sample_all(context)
        await model.close()
    check_answered(draws)
    check_settled(context)
    paid = context.meter.paid["policy"]
    assert paid.exact
    assert paid.calls == context.meter.nominal["policy"].calls == server.served.answers == sum(ROUNDS)
    assert paid.prompt_tokens == server.served.prompt_tokens
    assert paid.completion_tokens == server.served.completion_tokens
    assert server.wasted.requests == 0


@pytest.mark.slow
async def test_the_meter_misses_nothing_over_two_thousand_calls_with_mixed_faults() -> None:
    async with FaultServer(script=mixed(FREE + BROKEN, hangs=6)) as server:
        model = impatient(server)
        context = context_of(model)
        draws = await sample_all(context)
        await model.close()
    check_answered(draws)
    check_settled(context)
    nominal, paid = context.meter.nominal["policy"], context.meter.paid["policy"]
    assert nominal.calls == paid.calls == server.served.answers == sum(ROUNDS)  # however often each was tried
    # Nothing that the server counted is missing; what is more is an upper bound and says so.
    assert not paid.exact
    assert paid.prompt_tokens >= server.served.prompt_tokens + server.wasted.prompt_tokens
    assert paid.completion_tokens >= server.served.completion_tokens
    # No nominal count is that of a broken attempt: the words themselves are the true one. Shares of one bill of
    # several siblings are inexact one by one, but not below it together.
    words = [len(draw.completion.text.split()) for draw in draws if draw.completion is not None]
    assert all(d.usage.completion_tokens == w or not d.usage.exact for d, w in zip(draws, words, strict=True))
    assert nominal.completion_tokens >= sum(words)


@pytest.mark.parametrize("limits", [{"tokens": 20_000}, {"calls": 500}, {"completion_tokens": 3_000}])
async def test_a_budget_that_runs_out_among_faults_leaves_nothing_open(limits: dict[str, int]) -> None:
    async with FaultServer(script=mixed(FREE + BROKEN)) as server:
        model = impatient(server)
        context = context_of(model, **limits)
        draws = await sample_all(context)
        await asyncio.wait_for(server.idle.wait(), 10)
        await model.close()
    check_settled(context)
    assert any(draw.completion is not None for draw in draws)
    assert all(draw.interrupted is not None for draw in draws if draw.completion is None)
    # A limit holds; only a repeated attempt may pass it, and then the run says so.
    for unit, limit in limits.items():
        spent = getattr(total(context.meter.paid), unit)
        assert spent <= limit or context.meter.overruns


async def test_a_run_stopped_among_faults_leaves_nothing_open_and_keeps_what_came() -> None:
    async with FaultServer(script=mixed(FREE + BROKEN), latency=0.005) as server:
        model = impatient(server)
        context = context_of(model)
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(sample_all(context))
            await server.until(400)
            context.meter.stop(Interrupted("enough", reason="cancelled"))
        await asyncio.wait_for(server.idle.wait(), 10)
        await model.close()
    check_settled(context)
    came = [draw for draw in sampling.result() if draw.completion is not None and draw.interrupted is None]
    assert 100 < len(came) < sum(ROUNDS)
    assert total(context.meter.paid).calls >= len(came)
