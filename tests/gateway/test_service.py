"""What ends a run: the client, the clock, the budget, the house; and that every one of them is on the bill."""

from __future__ import annotations

import asyncio
import json
import random
import time
from functools import partial
from typing import Any

import pytest

from ponder.core.budget import Budget
from ponder.core.tasks import gather_all
from ponder.gateway.account import Account, Grant
from ponder.gateway.keys import hash_key
from ponder.gateway.settings import Admission, Key, Limits, Price, RequestRules, Settings, Upstream
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import Address, chat, scripted, serving
from tests.models.fault_server import FaultServer


async def hang_up(house: Address, body: dict[str, Any], after: float) -> None:
    """Send a request and close the connection after so many seconds."""
    host, port = house.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    data = json.dumps(body).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: " + str(len(data)).encode() + b"\r\n\r\n" + data
    )
    await writer.drain()
    await asyncio.sleep(after)
    writer.close()
    await writer.wait_closed()
    del reader


def _start(work: Any) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(work)


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - of all kinds
            await asyncio.sleep(0.002)


class Settled:
    """Notes what was opened and settled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = 0
        self.paid: list[Any] = []
        first, last = Account.open, Grant.settle

        async def note_open(account: Account, *args: Any, **options: Any) -> Grant:
            grant = await first(account, *args, **options)
            self.opened += 1
            return grant

        async def note_settle(grant: Grant, paid: Any) -> None:
            self.paid.append(dict(paid))
            await last(grant, paid)

        monkeypatch.setattr(Account, "open", note_open)
        monkeypatch.setattr(Grant, "settle", note_settle)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Settled:
    return Settled(monkeypatch)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["single@m", "self_consistency@m"])
async def test_a_client_that_hangs_up_ends_every_call_and_the_bill_is_settled(
    model: str, stream: bool, settled: Settled
) -> None:
    async with FaultServer(latency=30.0) as server:
        settings = Settings(upstreams=(Upstream(name="m", spec=f"openai:{server.url}#stub"),))
        async with serving(settings) as house:
            await hang_up(house, chat(model, stream=stream), 0.3)
            # Long before the 30 s of an answer; the goal of 100 ms is the benchmark's to hold.
            await until(lambda: server.in_flight == 0 and server.aborted == len(server.seen) > 0)
            await until(lambda: len(settled.paid) == settled.opened == 1 and not house.gateway.admission.running)
            (paid,) = settled.paid
            assert paid["policy"].calls == len(server.seen)
            assert not paid["policy"].exact


async def test_a_client_that_hangs_up_in_the_queue_leaves_it(settled: Settled) -> None:
    settings = scripted(admission=Admission(max_running=1, max_waiting=5))
    async with serving(settings, {"m": ScriptedModel(latency=0.6)}) as house:
        first = _start(house.chat("single@m"))
        await until(lambda: house.gateway.admission.running == 1)
        leaving = _start(hang_up(house, chat("single@m"), 0.1))
        await until(lambda: house.gateway.admission.waiting == 1)
        await leaving
        await until(lambda: house.gateway.admission.waiting == 0, 0.4)
        assert (await first)[0] == 200
        assert settled.opened == 1  # the other never reached the account


async def test_more_than_the_queue_holds_is_turned_away_with_a_time_to_come_back() -> None:
    settings = scripted(admission=Admission(max_running=1, max_waiting=1))
    async with serving(settings, {"m": ScriptedModel(latency=0.3)}) as house:
        replies = await gather_all([partial(_raw, house)] * 4)
        statuses = sorted(status for status, _, _ in replies)
        assert statuses == [200, 200, 429, 429]
        for status, headers, body in replies:
            if status == 429:
                assert int(headers["Retry-After"]) >= 1
                assert body["error"]["code"] == "rate_limit_exceeded"


async def _raw(house: Address) -> tuple[int, Any, Any]:
    async with house.session.post(house.url + "/v1/chat/completions", json=chat("single@m")) as reply:
        return reply.status, reply.headers, await reply.json()


async def test_the_deadline_answers_with_the_best_so_far() -> None:
    model = ScriptedModel(replies=("quick answer",), latency=0.05)
    slow = ScriptedModel(replies=lambda request, number: "first" if number < 3 else "late", latency=0.0)

    async def wait(reply: Any, request: Any, index: int, sink: Any) -> None:
        await asyncio.sleep(0.02 if slow.calls <= 3 else 30.0)

    slow._wait = wait  # type: ignore[method-assign]
    async with serving(scripted(), {"m": slow}) as house:
        began = time.monotonic()
        status, body = await house.chat(
            "self_consistency@m",
            ponder={"deadline_ms": 1500, "params": {"n": 8, "early_stop": "none"}, "answer": "exact"},
        )
        assert time.monotonic() - began < 25  # the calls that are cut would take 30
        assert status == 200
        assert body["choices"][0]["message"]["content"] == "first"
        assert body["ponder"]["stopped"] == "deadline"
    async with serving(scripted(), {"m": model}) as house:
        assert (await house.chat("single@m", ponder={"deadline_ms": 60_000}))[0] == 200


async def test_a_deadline_in_the_middle_of_the_only_answer_gives_its_part() -> None:
    model = ScriptedModel(replies=("one two three four five six seven eight",), latency=4.0, stream=True)
    async with serving(scripted(), {"m": model}) as house:
        status, body = await house.chat("single@m", ponder={"deadline_ms": 1700})
        assert status == 200
        text = body["choices"][0]["message"]["content"]
        assert text
        assert "one two three four five six seven eight".startswith(text)
        assert body["choices"][0]["finish_reason"] == "length"
        assert body["ponder"]["stopped"] == "deadline"
        assert body["usage"]["completion_tokens"] == len(text.split())


async def test_a_deadline_before_anything_is_a_504() -> None:
    async with serving(scripted(), {"m": ScriptedModel(latency=30.0)}) as house:
        status, body = await house.chat("single@m", ponder={"deadline_ms": 100})
        assert (status, body["error"]["code"]) == (504, "deadline_exceeded")


async def test_a_budget_is_a_wall() -> None:
    model = ScriptedModel(replies=("a", "b"))
    async with serving(scripted(), {"m": model}) as house:
        _, body = await house.chat(
            "self_consistency@m", ponder={"budget": {"calls": 3}, "params": {"n": 9, "early_stop": "none"}}
        )
        assert len(model.log) == 3
        assert body["ponder"]["stopped"] == "budget"
        status, body = await house.chat("single@m", "many words " * 30, ponder={"budget": {"tokens": 10}})
        assert (status, body["error"]["code"]) == (402, "budget_exceeded")
        assert len(model.log) == 3
        status, body = await house.chat("single@m", ponder={"budget": {"tokens": 10, "prompt_tokens": 20}})
        assert (status, body["error"]["param"]) == (400, "ponder.budget")


async def test_no_request_buys_more_completions_than_the_house_allows() -> None:
    """A verifier that asks often counts as well."""
    model = ScriptedModel(replies=("yes", "no"))
    settings = scripted(request=RequestRules(max_candidates=6), roles={"judge": "m"})
    async with serving(settings, {"m": model}) as house:
        for verifier in ("judge", {"name": "generative", "params": {"votes": 1000}}):
            model.log.clear()
            await house.chat("best_of_n@m", ponder={"params": {"n": 4}, "verifier": verifier})
            assert len(model.log) <= 6


async def test_a_key_out_of_tokens_is_told_what_is_left_before_anything_is_sent() -> None:
    model = ScriptedModel(replies=("word " * 30,))
    key = Key(name="ann", hash=hash_key("secret"), limits=Limits(tokens_per_day=50))
    headers = {"Authorization": "Bearer secret"}
    async with serving(scripted(keys=(key,)), {"m": model}) as house:
        statuses = []
        for _ in range(14):
            status, body = await house.post("/v1/chat/completions", chat("single@m"), headers=headers)
            statuses.append(status)
            assert status == 200 or "left" in body["error"]
        # The last answer may be cut short, but nobody is let in with less than an answer needs.
        assert set(statuses) == {200, 429}
        assert statuses == sorted(statuses)
        sent = len(model.log)
        await house.post("/v1/chat/completions", chat("single@m"), headers=headers)
        assert len(model.log) == sent
        lines = await house.gateway.account.report(key)
        day = next(line for line in lines if line.unit == "tokens" and line.period == "day" and "ann" in line.scope)
        assert day.spent <= 50
        assert day.reserved == 0


async def test_prices_make_dollars() -> None:
    settings = scripted(prices={"m": Price(prompt=1_000_000, completion=2_000_000)})
    async with serving(settings, {"m": ScriptedModel(replies=("a b",))}) as house:
        _, body = await house.chat("single@m", "one word")
        assert body["usage"]["ponder"]["usd"] == pytest.approx(2 * 1 + 2 * 2)
        _, body = await house.chat("single@m", "one word", ponder={"budget": {"usd": 4.5}})
        assert body["choices"][0]["message"]["content"] == "a"
        assert body["usage"]["ponder"]["usd"] == pytest.approx(4)
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        status, body = await house.chat("single@m", ponder={"budget": {"usd": 1}})
        assert (status, body["error"]["code"]) == (400, "impossible")


async def test_a_house_that_closes_answers_with_the_best_so_far() -> None:
    model = ScriptedModel(replies=("one two three four five six seven eight nine ten",), latency=5.0, stream=True)
    async with serving(scripted(), {"m": model}, grace=0.3) as house:
        body = {**chat("single@m"), "stream": True}
        async with house.session.post(house.url + "/v1/chat/completions", json=body) as reply:
            assert b'"content":"one"' in await reply.content.readuntil(b"\n\n")
            house.server.should_exit = True
            assert (await reply.read()).endswith(b"data: [DONE]\n\n")


async def test_a_house_that_closes_lets_short_runs_finish() -> None:
    async with serving(scripted(), {"m": ScriptedModel(replies=("done",), latency=0.4)}, grace=5.0) as house:
        asked = _start(house.chat("single@m"))
        await until(lambda: house.gateway.admission.running == 1)
        house.server.should_exit = True
        status, body = await asked
        assert (status, body["choices"][0]["message"]["content"]) == (200, "done")


async def test_every_request_is_settled_whatever_happens_to_it(settled: Settled) -> None:
    """Upstream faults, clients that leave, budgets and deadlines, all at once."""
    faults = ["500", "close", "cut", "half-json", "no-json", "429", "400", "usage:null"]
    rng = random.Random(5)
    script = [rng.choice(faults) if rng.random() < 0.4 else None for _ in range(4000)]
    async with FaultServer(script=script, latency=0.01) as server:
        settings = Settings(upstreams=(Upstream(name="m", spec=f"openai:{server.url}#stub"),))
        async with serving(settings) as house:
            for line in house.gateway.house.lines.by_model.values():
                line.retry = type(line.retry)(times=2, first=0.001, longest=0.01)

            async def one(place: int) -> int:
                body = chat(rng.choice(["single@m", "self_consistency@m", "greedy@m"]), stream=place % 2 == 0, n=1)
                body["ponder"] = rng.choice([{}, {"deadline_ms": 40}, {"budget": {"calls": 2}}])
                if place % 7 == 0:
                    await hang_up(house, body, rng.uniform(0.0, 0.03))
                    return 0
                async with house.session.post(house.url + "/v1/chat/completions", json=body) as reply:
                    await reply.read()
                    return reply.status

            async with asyncio.timeout(90):
                statuses = await gather_all([partial(one, place) for place in range(150)])
            await until(lambda: house.gateway.admission.running == 0)
            await until(lambda: len(settled.paid) == settled.opened)
            assert set(statuses) <= {0, 200, 400, 402, 429, 502, 504}
            assert statuses.count(200) > 20
            (day,) = [
                line
                for line in await house.gateway.account.report(None)
                if line.unit == "tokens" and line.period == "day"
            ]
            assert day.reserved == 0
            assert day.spent == sum(usage.tokens for paid in settled.paid for usage in paid.values())
            assert server.in_flight == 0


async def test_traces_of_answers_and_failures_are_kept(tmp_path: Any) -> None:
    from ponder.gateway.settings import Traces

    settings = scripted(traces=Traces(file=str(tmp_path / "t.sqlite")))
    async with serving(settings, {"m": ScriptedModel()}) as house:
        _, body = await house.chat("self_consistency@m", ponder={"params": {"n": 2}})
        record = await house.gateway.book.get(body["ponder"]["trace"])
        assert record is not None
        assert (record.status, record.method, record.model, record.key) == (200, "self_consistency", "m", "anyone")
        assert record.request["model"] == "self_consistency@m"
        assert sum(event.kind == "call" for event in record.events) == 4
        await house.chat("single@m", "x " * 40, ponder={"budget": {"tokens": 5}})
        failed = await house.gateway.book.get(house.headers["x-ponder-trace"])
        assert failed is not None
        assert (failed.status, failed.stopped) == (402, "budget")


def test_budget_has_every_unit_that_the_schema_names() -> None:
    from ponder.gateway.schema import PONDER

    assert set(PONDER["properties"]["budget"]["properties"]) == set(Budget.__dataclass_fields__)
