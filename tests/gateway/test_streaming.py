"""Streams: tokens as they come, progress until then, what a client sees when something breaks."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ponder.core import registry
from ponder.core.context import Context
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.core.trace import Event
from ponder.engines.sample import sample
from ponder.gateway import streaming
from ponder.gateway.choice import Plan
from ponder.gateway.pieces import Piece, Sent
from ponder.gateway.settings import Server, Settings, Upstream
from ponder.gateway.streaming import Feed
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import chat, scripted, serving, text_of
from tests.models.fault_server import FaultServer


def slow(text: str = "one two three four", latency: float = 0.2, **more: object) -> ScriptedModel:
    return ScriptedModel(replies=(text,), latency=latency, stream=True, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["single@m", "greedy@m", "m"])
async def test_tokens_come_while_the_model_writes(model: str) -> None:
    """`m` is auto, which without a policy is one greedy answer."""
    async with serving(scripted(), {"m": slow(latency=0.8)}) as house:
        began = time.monotonic()
        async with house.session.post(house.url + "/v1/chat/completions", json=chat(model, stream=True)) as reply:
            first = await reply.content.readuntil(b"\n\n")
            at_first = time.monotonic() - began
            rest = await reply.read()
        whole = time.monotonic() - began
        assert b'"content":"one"' in first
        assert at_first < whole - 0.3  # three of four tokens were still to come
        assert rest.endswith(b"data: [DONE]\n\n")
        assert first.count(b'"role":"assistant"') == 1
        assert rest.count(b'"role"') == 0


async def test_a_stream_spells_the_answer_and_ends_with_its_usage() -> None:
    async with serving(scripted(), {"m": slow(latency=0.01)}) as house:
        stream = await house.stream(chat("single@m", stream_options={"include_usage": True}))
        assert text_of(stream) == "one two three four"
        assert stream[-1] == "[DONE]"
        assert stream[-2]["choices"] == []
        assert stream[-2]["usage"]["completion_tokens"] == 4
        assert stream[-2]["ponder"]["trace"] == house.headers["x-ponder-trace"]
        assert stream[-3]["choices"][0]["finish_reason"] == "stop"
        assert len({event["id"] for event in stream if isinstance(event, dict)}) == 1
        plain = await house.stream(chat("single@m"))
        assert not any("usage" in event for event in plain if isinstance(event, dict))


async def test_choices_of_a_stream_keep_their_places() -> None:
    model = ScriptedModel(replies=("a a a", "b b", "c"), latency=0.02, stream=True)
    async with serving(scripted(), {"m": model}) as house:
        stream = await house.stream(chat("single@m", n=3, seed=0))
        assert [text_of(stream, choice) for choice in range(3)] == ["a a a", "b b", "c"]


@pytest.mark.parametrize("style", ["reasoning", "comments", "none"])
async def test_progress_is_told_as_asked_for(style: str) -> None:
    model = ScriptedModel(replies=("yes", "no", "yes"), latency=(0.05, 0.5))
    body = chat("self_consistency@m", seed=0)
    body["ponder"] = {"progress": style, "params": {"n": 6, "early_stop": "none"}, "answer": "exact"}
    async with serving(scripted(), {"m": model}) as house:
        stream = await house.stream(body)
    comments = [event for event in stream if isinstance(event, str) and "calls done" in event]
    thoughts = [
        part["delta"]["reasoning_content"]
        for event in stream
        if isinstance(event, dict)
        for part in event["choices"]
        if "reasoning_content" in part["delta"]
    ]
    assert bool(comments) == (style == "comments")
    assert bool(thoughts) == (style == "reasoning")
    assert text_of(stream) == "yes"


async def test_the_servers_style_holds_where_the_request_says_nothing() -> None:
    model = ScriptedModel(replies=("yes",), latency=(0.05, 0.4))
    async with serving(scripted(server=Server(progress="reasoning")), {"m": model}) as house:
        stream = await house.stream(chat("self_consistency@m", ponder={"answer": "exact"}))
    assert any("reasoning_content" in str(event) for event in stream)


async def test_a_heartbeat_comes_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "HEARTBEAT_SECONDS", 0.05)
    async with serving(scripted(), {"m": ScriptedModel(latency=0.4)}) as house:
        stream = await house.stream(chat("single@m"))
    assert stream.count(": waiting") >= 2
    assert text_of(stream) == "42"


@dataclass(frozen=True, kw_only=True)
class Early:
    """Commits to its first sample and goes on for a while, as a method that checks in the background would."""

    def calls(self) -> dict[str, int]:
        return {"policy": 2}

    async def run(self, task: Task, ctx: Context) -> Result:
        drawn = await sample(task, ctx, n=1)
        ctx.commit(drawn.candidates[0])
        await asyncio.sleep(0.5)
        return ctx.result(drawn.candidates, best=0)


async def test_a_committed_answer_is_sent_before_the_run_ends() -> None:
    async with serving(scripted(), {"m": ScriptedModel(replies=("chosen",))}) as house:
        chooser = house.gateway.house.chooser
        plan = chooser.plan("greedy@m", None, key=house.gateway.key_of(_Nobody()))  # type: ignore[arg-type]
        chooser._plans["early@m", 1, False] = replace(plan, method=Early(), name="early", alone=False)
        began = time.monotonic()
        async with house.session.post(house.url + "/v1/chat/completions", json=chat("early@m", stream=True)) as reply:
            while b"chosen" not in (line := await reply.content.readuntil(b"\n\n")):
                assert line.startswith(b":")
            early = time.monotonic() - began
            rest = await reply.read()
        assert early < time.monotonic() - began - 0.2
        assert b"chosen" not in rest  # once is enough
        assert rest.endswith(b"[DONE]\n\n")


class _Nobody:
    headers: dict[bytes, bytes] = {}  # noqa: RUF012 - never changed

    @staticmethod
    def header(_: str) -> None:
        return None


async def test_a_failure_before_the_first_token_has_its_own_status() -> None:
    async with FaultServer(script=["500"] * 20) as server:
        settings = Settings(upstreams=(Upstream(name="m", spec=f"openai:{server.url}#stub"),))
        async with (
            serving(settings) as house,
            house.session.post(house.url + "/v1/chat/completions", json=chat("single@m", stream=True)) as reply,
        ):
            assert reply.status == 502
            assert (await reply.json())["error"]["code"] == "upstream_failed"


async def test_a_reset_in_the_middle_is_repeated_without_saying_anything_twice() -> None:
    """The server breaks off after half an answer; asked again with the same seed it says the same."""
    async with FaultServer(script=["cut"], says="one two three four five six") as server:
        settings = Settings(upstreams=(Upstream(name="m", spec=f"openai:{server.url}#stub"),))
        async with serving(settings) as house:
            stream = await house.stream(chat("single@m", stream_options={"include_usage": True}))
            assert text_of(stream) == "one two three four five six "
            roles = stream[-2]["usage"]["ponder"]["roles"]["policy"]
            assert len(server.seen) == 2
            # Both attempts are on the bill: six words, and the three that came before the break.
            assert roles["completion_tokens"] == 9
            assert roles["exact"] is False


async def test_a_reset_whose_repetition_says_something_else_ends_the_stream_as_cut() -> None:
    class Forgetful(FaultServer):
        def _body(self, data):
            self.says = "one two three four" if len(self.seen) < 2 else "quite another text here"
            return super()._body(data)

    async with Forgetful(script=["cut"]) as server:
        settings = Settings(upstreams=(Upstream(name="m", spec=f"openai:{server.url}#stub"),))
        async with serving(settings) as house:
            stream = await house.stream(chat("single@m"))
    assert text_of(stream) == "one two "
    assert "quite" not in str(stream)
    ends = [e["choices"][0]["finish_reason"] for e in stream if isinstance(e, dict) and e["choices"]]
    assert ends[-1] == "length"
    assert stream[-1] == "[DONE]"


async def test_the_next_upstream_goes_on_where_the_first_broke() -> None:
    async with FaultServer(script=["cut"], says="a b c d") as first, FaultServer(says="a b c d") as second:
        settings = Settings(
            upstreams=(
                Upstream(name="one", serves="m", spec=f"openai:{first.url}#stub", priority=1),
                Upstream(name="two", serves="m", spec=f"openai:{second.url}#stub", priority=2),
            )
        )
        async with serving(settings) as house:
            stream = await house.stream(chat("single@m"))
    assert text_of(stream) == "a b c d "
    assert (len(first.seen), len(second.seen)) == (1, 1)


async def test_a_method_whose_calls_all_fail_says_so_within_the_stream() -> None:
    async with FaultServer(script=["500"] * 50, latency=0.15) as server:
        settings = Settings(upstreams=(Upstream(name="m", spec=f"openai:{server.url}#stub"),))
        async with serving(settings) as house:
            body = chat("self_consistency@m", ponder={"params": {"n": 2}, "progress": "comments"})
            async with house.session.post(house.url + "/v1/chat/completions", json={**body, "stream": True}) as reply:
                data = await reply.read()
                if reply.status == 200:
                    assert b'"error"' in data
                    assert b"[DONE]" not in data
                else:
                    assert reply.status == 502


def _plan(name: str, *, alone: bool) -> Plan:
    method = registry.strategies.get("greedy").make()
    nothing: Any = None
    return Plan(method=method, name=name, line=nothing, verifier=None, verifier_name="", calls=1, alone=alone)


def test_auto_becomes_certain_when_it_picks_one_call() -> None:
    feed = Feed(_plan("auto", alone=False))
    feed.watch(Event(1, 0, 0.0, "run", "open", {"method": "auto"}))
    assert not feed.live
    feed.watch(Event(2, 1, 0.0, "run", "open", {"method": "self_consistency", "settings": {"n": 4}}))
    assert not feed.live
    feed.watch(Event(3, 1, 0.0, "run", "open", {"method": "greedy", "settings": {}}))
    assert feed.live
    feed.token(0, "x")
    assert feed.take() == [Piece(0, "x")]
    assert feed.sent == {0: Sent(text="x")}


def test_a_commitment_of_a_nested_run_is_not_the_answer() -> None:
    feed = Feed(_plan("other", alone=False))
    feed.watch(Event(1, 0, 0.0, "run", "open", {"method": "other"}))
    feed.watch(Event(2, 1, 0.0, "run", "open", {"method": "greedy", "settings": {}}))
    feed.watch(Event(3, 2, 0.0, "commit", "instant", {"text": "inner"}))
    assert feed.take() == []
    feed.watch(Event(4, 1, 0.0, "commit", "instant", {"text": "outer"}))
    assert feed.take() == [Piece(0, "outer")]
