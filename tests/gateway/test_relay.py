"""What a pass-through hands on as it comes: reasoning, tool calls, log-probabilities; and each of it once."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.gateway.relay import Diverged, Relay
from tests.gateway.event_server import CUT, HOLD, chunk, streaming_from
from tests.gateway.house import Address, chat, serving, text_of

NO_PROGRESS = {"ponder": {"progress": "none"}}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


def tool(place: int, arguments: str = "", **more: Any) -> dict[str, Any]:
    name = {"name": more.pop("name")} if "name" in more else {}
    return chunk({"tool_calls": [{"index": place, **more, "function": {**name, "arguments": arguments}}]})


def listed(text: str, logprob: float = -0.5, **more: Any) -> dict[str, Any]:
    top = [{"token": text, "logprob": logprob, "bytes": list(text.encode())}, {"token": "other", "logprob": -3.0}]
    entry = {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": top}
    return chunk({"content": text}, logprobs={"content": [entry]}, **more)


async def until(house: Address, body: Mapping[str, Any], wanted: bytes, path: str = "/v1/chat/completions") -> Any:
    """Read a stream until something is there; return the open reply and what was read."""
    reply = await house.session.post(house.url + path, json={**body, "stream": True})
    assert reply.status == 200, await reply.text()
    read = b""
    async with asyncio.timeout(5):
        while wanted not in read:
            read += await reply.content.readany()
    return reply, read


def deltas(data: bytes, name: str) -> list[Any]:
    events = [json.loads(line[6:]) for line in data.decode().split("\n\n") if line.startswith("data: {")]
    return [
        choice["delta"][name]
        for event in events
        for choice in event["choices"]
        if choice["delta"].get(name) is not None
    ]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_comes_while_the_model_thinks(field: str) -> None:
    script = [chunk({field: "let "}), HOLD, chunk({field: "me see"}), chunk({"content": "42"}), chunk(finish="stop")]
    async with streaming_from(script) as upstream, serving(upstream.settings()) as house:
        reply, first = await until(house, chat("single@m"), b"let ")
        upstream.go.set()
        rest = await reply.read()
    assert deltas(first + rest, "reasoning_content") == ["let ", "me see"]
    assert deltas(first + rest, "content") == ["42"]


async def test_tool_calls_come_as_the_upstream_writes_them() -> None:
    script = [
        tool(0, id="call_a", type="function", name="look"),
        tool(0, '{"at":'),
        HOLD,
        tool(0, "1}"),
        tool(1, "{}", id="call_b", type="function", name="look"),
        chunk(finish="tool_calls"),
    ]
    async with streaming_from(script) as upstream, serving(upstream.settings()) as house:
        reply, first = await until(house, chat("m", tools=TOOLS), b'{\\"at\\":')
        upstream.go.set()
        rest = await reply.read()
    sent = [part for parts in deltas(first + rest, "tool_calls") for part in parts]
    assert sent == [part for event in script if event is not HOLD for part in _parts(event)]
    assert b'"finish_reason":"tool_calls"' in rest


def _parts(event: Any) -> list[Any]:
    parts: list[Any] = event["choices"][0]["delta"].get("tool_calls", [])
    return parts


async def test_calls_that_a_server_counts_from_one_come_once() -> None:
    script = [
        tool(1, '{"at":', id="call_a", type="function", name="look"),
        tool(1, "1}"),
        tool(2, "{}", id="call_b", type="function", name="look"),
        chunk(finish="tool_calls"),
    ]
    async with streaming_from(script) as upstream, serving(upstream.settings()) as house:
        reply, first = await until(house, chat("m", tools=TOOLS), b"[DONE]")
        rest = await reply.read()
    sent = [part for parts in deltas(first + rest, "tool_calls") for part in parts]
    assert [(part["index"], part["function"]["arguments"]) for part in sent] == [(0, '{"at":'), (0, "1}"), (1, "{}")]


async def test_a_raw_completion_that_only_thought_and_broke_fails_with_its_status() -> None:
    script = [{"choices": [{"index": 0, "text": "", "reasoning": "hm", "finish_reason": None}]}, "no json"]
    async with streaming_from(script) as upstream, serving(upstream.settings()) as house:
        reply = await house.session.post(
            house.url + "/v1/completions", json={"model": "m", "prompt": "x", "stream": True, **NO_PROGRESS}
        )
        assert reply.status == 502, await reply.text()


async def test_the_official_client_puts_streamed_tool_calls_together() -> None:
    script = [
        chunk({"role": "assistant", "content": None}),
        tool(0, id="call_a", type="function", name="look"),
        tool(0, '{"at": '),
        tool(0, "1}"),
        chunk(finish="tool_calls"),
    ]
    messages: Any = [{"role": "user", "content": "look"}]
    tools: Any = TOOLS
    async with (
        streaming_from(script) as upstream,
        serving(upstream.settings()) as house,
        openai.AsyncOpenAI(base_url=house.url + "/v1", api_key="none", max_retries=0) as client,
        client.chat.completions.stream(model="single@m", messages=messages, tools=tools) as stream,
    ):
        done = await stream.get_final_completion()
    calls = done.choices[0].message.tool_calls
    assert calls is not None
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("call_a", "look", '{"at": 1}')
    ]


async def test_log_probabilities_come_with_their_tokens() -> None:
    script = [listed("a"), HOLD, listed("b", -1.5), chunk(finish="stop")]
    body = chat("single@m", logprobs=True, top_logprobs=1)
    async with streaming_from(script) as upstream, serving(upstream.settings()) as house:
        reply, first = await until(house, body, b'"content":"a"')
        upstream.go.set()
        rest = await reply.read()
    told = [
        (choice["delta"]["content"], choice["logprobs"]["content"])
        for line in (first + rest).decode().split("\n\n")
        if line.startswith("data: {")
        for choice in json.loads(line[6:])["choices"]
        if choice["logprobs"] is not None
    ]
    assert [(text, entry["token"], entry["logprob"]) for text, (entry,) in told] == [("a", "a", -0.5), ("b", "b", -1.5)]
    assert [len(entry["top_logprobs"]) for _, (entry,) in told] == [1, 1]
    assert told[0][1][0]["bytes"] == [97]


async def test_a_token_without_its_log_probability_waits_for_the_end() -> None:
    """The texts that follow it wait, too; nothing is sent twice."""
    script = [listed("a"), chunk({"content": "b"}), listed("c"), chunk(finish="stop")]
    async with streaming_from(script) as upstream, serving(upstream.settings()) as house:
        stream = await house.stream(chat("single@m", logprobs=True))
    assert text_of(stream) == "abc"
    tokens = [
        entry["token"]
        for event in stream
        if isinstance(event, dict)
        for choice in event["choices"]
        for entry in (choice["logprobs"] or {}).get("content", ())
    ]
    assert tokens == ["a", "c"]


async def test_raw_completions_list_log_probabilities_as_they_come() -> None:
    def raw(text: str) -> Any:
        logprobs = {"tokens": [text], "token_logprobs": [-0.5], "top_logprobs": [{text: -0.5, "z": -4.0}]}
        return {"choices": [{"index": 0, "text": text, "logprobs": logprobs, "finish_reason": None}]}

    script = [raw("ab"), HOLD, raw("c"), {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}]
    body = {"model": "single@m", "prompt": "x", "logprobs": 1}
    async with streaming_from(script) as upstream, serving(upstream.settings()) as house:
        reply, first = await until(house, body, b'"text":"ab"', "/v1/completions")
        upstream.go.set()
        rest = await reply.read()
    events = [json.loads(line[6:]) for line in (first + rest).decode().split("\n\n") if line.startswith("data: {")]
    told = [event["choices"][0]["logprobs"] for event in events if event["choices"][0]["logprobs"]]
    assert [(one["tokens"], one["text_offset"], one["top_logprobs"]) for one in told] == [
        (["ab"], [0], [{"ab": -0.5}]),
        (["c"], [2], [{"c": -0.5}]),
    ]
    assert "".join(event["choices"][0]["text"] for event in events) == "abc"


async def test_a_repeated_attempt_says_nothing_twice_whatever_it_says() -> None:
    """Reasoning may differ: it is no answer. The id of the call that was shown stands."""
    first = [
        chunk({"reasoning_content": "hm "}),
        tool(0, id="call_a", type="function", name="look"),
        tool(0, '{"at"'),
        CUT,
    ]
    second = [
        chunk({"reasoning_content": "well "}),
        tool(0, id="call_z", type="function", name="look"),
        tool(0, '{"at":1}'),
        chunk(finish="tool_calls"),
    ]
    async with streaming_from(first, second) as upstream, serving(upstream.settings()) as house:
        reply, read = await until(house, chat("single@m", tools=TOOLS), b"[DONE]")
        reply.release()
    assert len(upstream.seen) == 2
    assert deltas(read, "reasoning_content") == ["hm "]
    parts = [part for parts in deltas(read, "tool_calls") for part in parts]
    assert [part.get("id") for part in parts] == ["call_a", None, None]
    assert "".join(part["function"].get("arguments", "") for part in parts) == '{"at":1}'


async def test_other_arguments_than_those_that_were_shown_end_the_stream() -> None:
    begin = tool(0, id="call_a", type="function", name="look")
    first, second = [begin, tool(0, '{"at":1'), CUT], [begin, tool(0, '{"of":2}'), chunk(finish="tool_calls")]
    async with streaming_from(first, second) as upstream, serving(upstream.settings()) as house:
        reply, read = await until(house, chat("single@m", tools=TOOLS), b"[DONE]")
        reply.release()
    assert b"of" not in read.replace(b"[DONE]", b"")
    assert b'"finish_reason":"length"' in read


@pytest.mark.parametrize(
    "bad",
    [
        chunk({"tool_calls": 7}),
        chunk({"tool_calls": [7]}),
        chunk({"tool_calls": [{"index": [], "function": "x"}]}),
        chunk({"tool_calls": [{"index": None, "id": 5, "function": {"arguments": {}}}]}),
        chunk({"content": "x"}, logprobs={"content": [{"token": 5}]}),
        chunk({"content": "x"}, logprobs={"content": [{"token": "x", "logprob": 10**400}]}),
        {"choices": [{"index": 0, "delta": "x"}]},
        {"choices": [{"index": True, "delta": {"content": ["x"]}}]},
        {"choices": [7]},
        {"usage": 7, "choices": {}},
        "{",
        "[]",
    ],
)
async def test_events_that_nobody_can_read_are_an_upstreams_failure(bad: Any) -> None:
    script = [chunk({"content": "a"}), bad, chunk({"content": "b"}), chunk(finish="stop")]
    body = chat("single@m", tools=TOOLS, logprobs=True)
    async with (
        streaming_from(script) as upstream,
        serving(upstream.settings()) as house,
        house.session.post(house.url + "/v1/chat/completions", json={**body, "stream": True}) as reply,
    ):
        data = await reply.read()
        assert reply.status in (200, 502), data
        assert reply.status == 200 or json.loads(data)["error"]["code"] == "upstream_failed"
        assert b"something went wrong" not in data


class Spy:
    """A sink and a listener that put together what they are told."""

    def __init__(self, *, live: bool = True) -> None:
        self.live = live
        self.text = self.thought = ""
        self.calls: dict[int, dict[str, str]] = {}
        self.listed: list[Any] = []
        self.count = 0

    def token(self, index: int, text: str, count: int | None = None) -> None:
        if count is None:
            self.text += text
        else:
            self.count += count

    def detail(self, index: int, text: str, more: Mapping[str, Any]) -> None:
        self.text += text
        self.thought += more.get("reasoning", "")
        self.listed += more.get("logprobs", {}).get("content", ())
        for part in more.get("tool_calls", ()):
            call = self.calls.setdefault(part["index"], {"name": "", "arguments": ""})
            for name, text in part["function"].items():
                call[name] += text

    def prompt(self, index: int, tokens: int) -> None:
        pass

    def done(self, index: int, completion: Any) -> None:
        pass


def pieces(text: str, cuts: list[int]) -> list[str]:
    ends = sorted({min(cut, len(text)) for cut in cuts} | {len(text)})
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


cuts = st.lists(st.integers(0, 12), max_size=5)


@given(
    st.text("ab", max_size=12), st.text("xy", max_size=12), st.text("{}1", max_size=12), cuts, cuts, st.integers(0, 12)
)
def test_however_an_answer_is_divided_each_part_of_it_comes_once(
    text: str, thought: str, arguments: str, before: list[int], after: list[int], broke: int
) -> None:
    def told(relay: Relay, cuts: list[int], most: float) -> int:
        steps: list[tuple[str, Mapping[str, Any]]] = [("", {"reasoning": part}) for part in pieces(thought, cuts)]
        steps += [(part, {"logprobs": {"content": list(part)}}) for part in pieces(text, cuts)]
        begin = [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]
        more = [[{"index": 0, "function": {"arguments": part}}] for part in pieces(arguments, cuts)]
        steps += [("", {"tool_calls": parts}) for parts in (begin, *more)]
        for at, (part, rest) in enumerate(steps):
            if at >= most:
                return at
            relay.detail(0, part, 1, rest)
        return len(steps)

    spy = Spy()
    relay = Relay(spy, 1, listener=spy)
    count = told(relay, before, broke)
    relay.restart()
    count += told(relay, after, math.inf)
    assert (spy.text, spy.thought, spy.calls) == (text, thought, {0: {"name": "f", "arguments": arguments}})
    assert spy.listed == list(text)
    assert spy.count == count


def test_a_refusal_that_differs_cannot_be_mended() -> None:
    spy = Spy()
    relay = Relay(spy, 1, listener=spy)
    relay.detail(0, "", 1, {"refusal": "I will not"})
    relay.restart()
    with pytest.raises(Diverged):
        relay.detail(0, "", 1, {"refusal": "No"})


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
    assert spy.text == whole
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
        shown = max((first, second), key=len) if same else first
        assert spy.text == (shown if live else "")
