"""The OpenAI-compatible back-end against a well-behaved server."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ponder.core.access import Access
from ponder.core.errors import ConfigError, RequestRefused
from ponder.core.model import Completion, Model, Request, Sampling
from ponder.core.registry import models, parameters
from ponder.core.task import Image, Message
from ponder.models.openai import OpenAI
from tests.models.fault_server import FaultServer

ASK = (Message("user", "say some words"),)


class Notes:
    """A sink that writes down what it is told."""

    def __init__(self) -> None:
        self.tokens: dict[int, int] = {}
        self.texts: dict[int, str] = {}
        self.prompts: dict[int, int] = {}
        self.finished: dict[int, Completion] = {}

    def token(self, index: int, text: str, count: int = 1) -> None:
        self.tokens[index] = self.tokens.get(index, 0) + count
        self.texts[index] = self.texts.get(index, "") + text

    def prompt(self, index: int, tokens: int) -> None:
        self.prompts[index] = tokens

    def done(self, index: int, completion: Completion) -> None:
        assert index not in self.finished
        self.finished[index] = completion


def request(n: int = 1, *, max_tokens: int = 16, **fields: Any) -> Request:
    return Request(**{"messages": ASK, "n": n, "sampling": Sampling(max_tokens=max_tokens), **fields})


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


@pytest.fixture
async def model(server: FaultServer) -> AsyncIterator[OpenAI]:
    model = OpenAI.from_spec(f"{server.url}#stub", kind="vllm")
    yield model
    await model.close()


def test_openai_is_a_registered_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert models.get("openai").cls is OpenAI
    model = OpenAI.from_spec("gpt-x")
    assert isinstance(model, Model)
    assert model.kind == "openai"
    assert model.info.fingerprint == "https://api.openai.com/v1#gpt-x"


async def test_siblings_come_in_order_with_the_prompt_billed_once(server: FaultServer, model: OpenAI) -> None:
    done = await model.generate(request(4, seed=3))
    assert [c.usage.completion_tokens for c in done] == [4, 5, 6, 7]
    assert done[0].text == "delta epsilon zeta eta "
    assert {c.usage.prompt_tokens for c in done} == {5}
    assert [c.sent.prompt_tokens for c in done if c.sent] == [5, 0, 0, 0]
    assert sum(c.sent.tokens for c in done if c.sent) == server.served.prompt_tokens + server.served.completion_tokens
    assert len(server.seen) == 1


async def test_a_total_that_cannot_be_shared_exactly_is_marked(server: FaultServer, model: OpenAI) -> None:
    done = await model.generate(request(3, seed=0))
    assert not any(c.usage.exact for c in done)
    assert all(c.sent is not None and c.sent.exact for c in done)
    exact = await model.generate(request(3, seed=0, logprobs=0))
    assert [c.usage.completion_tokens for c in exact] == [1, 2, 3]
    assert all(c.usage.exact for c in exact)


@pytest.mark.parametrize("n", [1, 3])
async def test_a_stream_gives_what_a_plain_reply_gives(model: OpenAI, n: int) -> None:
    notes = Notes()
    ask = request(n, seed=2, logprobs=2)
    streamed, plain = await model.generate(ask, notes), await model.generate(ask)
    assert streamed == plain
    assert notes.tokens == {k: c.usage.completion_tokens for k, c in enumerate(plain)}
    assert notes.texts == {k: c.text for k, c in enumerate(plain)}
    assert set(notes.prompts.values()) == {5}
    assert list(notes.finished.values()) == streamed


async def test_every_sampler_field_is_sent(server: FaultServer, model: OpenAI) -> None:
    await model.generate(request(seed=9))
    body = server.seen[0]
    assert body == {
        "model": "stub",
        "messages": [{"role": "user", "content": "say some words"}],
        "temperature": 0.8,
        "top_p": 0.95,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "max_tokens": 16,
        "seed": 9,
    }


async def test_raw_prompts_go_to_completions(server: FaultServer, model: OpenAI) -> None:
    law = Sampling(max_tokens=16)
    (text,) = await model.generate(Request(prompt="one two", seed=1, sampling=law))
    (ids,) = await model.generate(Request(prompt=(5, 6, 7), seed=1, sampling=law), Notes())
    assert text.text == ids.text == "beta gamma "
    assert (text.usage.prompt_tokens, ids.usage.prompt_tokens) == (2, 3)
    assert server.seen[1]["prompt"] == [5, 6, 7]


async def test_a_prefix_is_continued_by_an_open_assistant_message(server: FaultServer, model: OpenAI) -> None:
    await model.generate(request(prefix="Well, "))
    assert server.seen[0]["messages"][-1] == {"role": "assistant", "content": "Well, "}
    assert server.seen[0]["continue_final_message"] is True
    assert server.seen[0]["add_generation_prompt"] is False


async def test_a_prefix_is_refused_where_the_server_has_no_way(server: FaultServer) -> None:
    model = OpenAI.from_spec(f"{server.url}#stub", kind="ollama")
    with pytest.raises(RequestRefused, match="cannot continue"):
        await model.generate(request(prefix="Well, "))
    await model.close()
    assert not server.seen


async def test_images_tools_and_schemas_are_passed_through(server: FaultServer, model: OpenAI) -> None:
    messages = (Message("user", "what is it?", images=(Image(data=b"\x89PNG"),)),)
    schema = {"type": "object"}
    tool = {"type": "function", "function": {"name": "look"}}
    await model.generate(request(messages=messages, json_schema=schema, tools=(tool,)))
    body = server.seen[0]
    assert body["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert body["messages"][0]["content"][1] == {"type": "text", "text": "what is it?"}
    assert body["response_format"]["json_schema"]["schema"] == schema
    assert body["tools"] == [tool]


async def test_refused_parameters_are_learned_once(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    server.refuse = ("temperature", "logprobs", "seed", "max_completion_tokens")
    model = OpenAI.from_spec(f"{server.url}#picky", kind="openai")
    assert (Access.SEED in model.access, model.determinism) == (True, "best_effort")
    with caplog.at_level(logging.WARNING):
        (first,) = await model.generate(request(logprobs=1))
        await model.generate(request(logprobs=1))
    assert first.tokens is None
    assert set(model.learned) == set(server.refuse)
    assert len(caplog.records) == 4
    assert len(server.seen) == 6  # four refusals, two answers
    assert server.seen[-1]["max_tokens"] == 16
    assert "temperature" not in server.seen[-1]
    assert model.determinism == "none"
    assert not model.access & {Access.SEED, Access.LOGPROBS, Access.TOP_LOGPROBS}
    other = OpenAI.from_spec(f"{server.url}#picky", kind="openai")
    assert set(other.learned) == set(server.refuse)
    await model.close()


@pytest.mark.parametrize("way", ["refuses", "ignores"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_without_n_siblings_are_asked_side_by_side(server: FaultServer, way: str, streamed: bool) -> None:
    server.refuse, server.ignore_n = (("n",), False) if way == "refuses" else ((), True)
    model = OpenAI.from_spec(f"{server.url}#alone-{way}-{streamed}", kind="vllm")
    notes = Notes()
    done = await model.generate(request(5, seed=0), notes if streamed else None)
    assert [c.usage.completion_tokens for c in done] == [1, 2, 3, 4, 5]
    assert all(c.usage.exact for c in done)
    assert "n" in model.learned
    assert Access.N not in model.access
    assert sum((c.sent or c.usage).tokens for c in done) == (
        server.served.prompt_tokens + server.served.completion_tokens
    )
    assert not streamed or list(notes.finished) == [0, 1, 2, 3, 4]
    await model.close()


async def test_slots_bound_what_is_in_flight(server: FaultServer) -> None:
    server.latency = 0.01
    one, two = (OpenAI.from_spec(f"{server.url}#{name}", connections=3) for name in "ab")
    async with asyncio.TaskGroup() as group:
        for index in range(12):
            group.create_task((one if index % 2 else two).generate(request(seed=index)))
    assert server.most_in_flight == 3
    await one.close()
    await two.close()


async def test_cancelling_ends_the_work_at_the_server_with_a_known_count() -> None:
    async with FaultServer(script=["drip"]) as server:
        model = OpenAI.from_spec(f"{server.url}#stub")
        notes = Notes()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await model.generate(request(seed=6), notes)
        await asyncio.wait_for(server.idle.wait(), 2)
        assert server.aborted == 1
        assert notes.tokens == {0: 4}
        await model.close()


def test_count_bounds_the_prompt_from_above() -> None:
    model = OpenAI(model="m", base_url="http://127.0.0.1:1/v1")
    count = model.count(request(messages=(Message("user", "héé"),)))
    assert not count.exact
    assert count.tokens >= 5
    assert model.count(Request(prompt=(1, 2, 3))) == (3, True)


@pytest.mark.parametrize(
    ("rest", "options", "what"),
    [
        ("", {}, "name of a model"),
        ("http://127.0.0.1:1/v1", {}, "which model"),
        ("http://user:pw@127.0.0.1/v1#m", {}, "no user"),
        ("http://127.0.0.1/v1?key=1#m", {}, "query"),
        ("m", {"base_url": "127.0.0.1:8000"}, "http://"),
        ("m", {"kind": "gguf"}, "kind must be"),
        ("m", {"gives": ["telepathy"]}, "telepathy"),
        ("m", {"connections": 0}, "connections"),
        ("m", {"timeout": 0}, "timeout"),
        ("m", {"api_key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY"),
        ("m", {"api_key_file": "/nowhere/key"}, "cannot be read"),
        ("m", {"api_key": "a\nb"}, "characters"),
        ("m", {"api_key": "a", "api_key_env": "HOME"}, "one way"),
        ("m", {"base_uri": "x"}, "base_uri"),
    ],
)
def test_wrong_settings_are_refused(rest: str, options: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        OpenAI.from_spec(rest, **options)


async def test_two_models_of_one_endpoint_must_agree_on_its_limits(server: FaultServer) -> None:
    one = OpenAI.from_spec(f"{server.url}#a", connections=3)
    two = OpenAI.from_spec(f"{server.url}#b", connections=4)
    await one.generate(request())
    with pytest.raises(ConfigError, match="other limits"):
        await two.generate(request())
    await one.close()
    await two.close()


async def test_the_openai_key_is_not_sent_elsewhere(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-you")
    model = OpenAI.from_spec(f"{server.url}#stub")
    await model.generate(request())
    assert "Authorization" not in server.headers[0]
    await model.close()


async def test_the_key_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    key = "sk-5ecret5ecret"
    async with FaultServer(key="another", script=[]) as server:
        monkeypatch.setenv("ENDPOINT_KEY", key)
        model = OpenAI.from_spec(f"{server.url}#stub", api_key_env="ENDPOINT_KEY")
        with caplog.at_level(logging.DEBUG), pytest.raises(RequestRefused) as caught:
            await model.generate(request())
        assert server.headers[0]["Authorization"] == f"Bearer {key}"  # it was sent, and the server echoed it
        shown = [repr(model), str(model.info), str(model.learned), str(parameters(model)), caplog.text]
        error: BaseException | None = caught.value
        while error is not None:
            shown += [str(error), repr(error), repr(vars(error)), repr(error.args)]
            error = error.__cause__ or error.__context__
        assert key not in "\n".join(shown)
        assert "***" in str(caught.value)
        with pytest.raises(TypeError, match="not written"):
            pickle.dumps(model._transport._options.key)
        await model.close()


async def test_one_model_works_in_a_second_event_loop(server: FaultServer) -> None:
    model = OpenAI.from_spec(f"{server.url}#stub")

    async def ask() -> str:
        done = await model.generate(request(seed=1))
        await model.close()
        return done[0].text

    assert await ask() == await asyncio.to_thread(lambda: asyncio.run(ask()))


async def test_probe_tells_what_the_server_can_do(server: FaultServer) -> None:
    server.refuse = ("response_format",)
    model = OpenAI.from_spec(f"{server.url}#stub")
    probe = await model.probe()
    assert probe.access == {Access.TEXT, Access.N, Access.SEED, Access.LOGPROBS, Access.TOP_LOGPROBS}
    assert probe.kind == "compatible"
    assert probe.models == ("stub",)
    assert probe.notes["stream"] == "yes"
    assert probe.notes["schema"].startswith("no: HTTP 400")
    assert probe.notes["prefix"].startswith("no")
    assert probe.template_tokens == 2
    server.continues = True
    assert Access.PREFIX in (await model.probe()).access
    await model.close()
