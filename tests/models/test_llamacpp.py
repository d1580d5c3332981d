"""The embedded back-end on the real model: each trap of the server has a test here."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ponder.core.access import Access
from ponder.core.errors import BadInput, ConfigError, EndpointDown, ProviderError, RequestRefused
from ponder.core.model import Completion, Embedder, Model, Request, Sampling
from ponder.core.task import Image, Message
from ponder.core.usage import Usage
from ponder.models._llama_request import body
from ponder.models.llamacpp import LlamaCpp

pytestmark = pytest.mark.embedded
RAIN = (Message("user", "Explain in two sentences how rain forms."),)


def ask(max_tokens: int = 12, *, temperature: float = 0.8, stop: tuple[str, ...] = (), **fields: Any) -> Request:
    if "prompt" not in fields:
        fields.setdefault("messages", RAIN)
    return Request(sampling=Sampling(max_tokens=max_tokens, temperature=temperature, stop=stop), **fields)


class Notes:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.counts: dict[int, int] = {}
        self.prompts: dict[int, int] = {}
        self.finished: dict[int, Completion] = {}
        self.begun = asyncio.Event()

    def token(self, index: int, text: str, count: int = 1) -> None:
        assert index not in self.finished
        self.texts[index] = self.texts.get(index, "") + text
        self.counts[index] = self.counts.get(index, 0) + count
        if sum(self.counts.values()) >= 4:
            self.begun.set()

    def prompt(self, index: int, tokens: int) -> None:
        self.prompts[index] = tokens

    def done(self, index: int, completion: Completion) -> None:
        self.finished[index] = completion


def get(model: LlamaCpp, path: str, **headers: str) -> tuple[int, str | None]:
    """Return the status and the permitted origin of a plain GET."""
    address = urlsplit(model._server._server.listening_address)
    with contextlib.closing(http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)) as connection:
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as reply:
            return reply.status, reply.headers.get("Access-Control-Allow-Origin")


def test_it_is_a_model_with_known_shape(embedded_model: LlamaCpp) -> None:
    assert isinstance(embedded_model, Model)
    assert isinstance(embedded_model, Embedder)
    assert Access.SCORE not in embedded_model.access
    info = embedded_model.info
    assert info.fingerprint == "llamacpp:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    assert (info.parameters, info.layers, info.heads, info.kv_heads) == (134515008, 30, 9, 3)
    assert (info.hidden, info.vocabulary, info.context) == (576, 49152, 512)
    assert info.flops is not None
    # By hand: 3 tokens at 2 x 134515008, and 4 x 30 x 576 for each of 1 + 2 + 3 positions.
    assert info.flops(2, 1) == 6 * 134515008 + 69120 * 6


@pytest.mark.parametrize(
    "request_",
    [
        ask(max_tokens=1),
        ask(max_tokens=1, prefix="Rain forms when"),
        ask(max_tokens=1, prompt="Once upon a time"),
        ask(max_tokens=1, prompt=(19556, 905)),
        ask(max_tokens=1, prompt="nul \x00 é 漢字 🦄 \u200b"),
        ask(max_tokens=1, messages=(Message("system", "Be brief."), *RAIN, Message("assistant", "No.\x00"))),
    ],
    ids=["chat", "prefix", "text", "ids", "unicode", "ends in assistant"],
)
async def test_count_is_what_the_server_reads(
    embedded_model: LlamaCpp, request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, read = embedded_model._server.stream, []

    def spy(sent: Any, each: Callable[[dict[str, Any]], bool]) -> None:
        def look(chunk: dict[str, Any]) -> bool:
            if "usage" in chunk:
                read.append(chunk["usage"])
            return each(chunk)

        real(sent, look)

    monkeypatch.setattr(embedded_model._server, "stream", spy)
    (done,) = await embedded_model.generate(request_)
    count = embedded_model.count(request_)
    assert count.exact
    assert count.tokens == done.usage.prompt_tokens == read[0]["prompt_tokens"]


def test_a_chat_that_ends_in_an_assistant_message_is_not_continued(embedded_model: LlamaCpp) -> None:
    rendered = embedded_model._render((*RAIN, Message("assistant", "It falls.")))
    assert rendered.endswith("It falls.<|im_end|>\n<|im_start|>assistant\n")


async def test_siblings_are_reported_and_counted_one_by_one(embedded_model: LlamaCpp) -> None:
    notes = Notes()
    request = ask(40, n=4, seed=11)
    done = await embedded_model.generate(request, notes)
    prompt = embedded_model.count(request).tokens
    assert notes.prompts == dict.fromkeys(range(4), prompt)
    for index, completion in enumerate(done):
        assert notes.finished[index] == completion
        assert notes.texts[index] == completion.text
        assert completion.tokens is not None
        assert "".join(completion.tokens.texts) == completion.text
        length = len(completion.tokens.ids)
        assert notes.counts[index] == length
        assert completion.usage == Usage(calls=1, prompt_tokens=prompt, completion_tokens=length)
        assert completion.finish == ("length" if length == 40 and completion.tokens.ids[-1] != 2 else "stop")
    assert [d.sent.prompt_tokens for d in done[1:] if d.sent is not None] == [0, 0, 0]


async def test_the_end_token_is_counted(embedded_model: LlamaCpp) -> None:
    request = ask(60, n=4, messages=(Message("user", "Write a sentence with the words river and stone."),))
    done = next(c for c in await embedded_model.generate(request) if c.finish == "stop")
    assert done.tokens is not None
    assert (done.tokens.ids[-1], done.tokens.texts[-1]) == (2, "")
    assert done.usage.completion_tokens == len(done.tokens.ids)


async def test_a_prompt_is_read_once_for_all_siblings(embedded_model: LlamaCpp) -> None:
    words = " ".join(f"stone number {i}," for i in range(60))
    cold = await embedded_model.generate(ask(2, n=4, prompt=words))
    warm = await embedded_model.generate(ask(2, n=4, prompt=words))
    total = embedded_model.count(ask(2, prompt=words)).tokens
    assert sum((c.sent or c.usage).prompt_tokens for c in cold) == total
    assert warm[0].sent is not None
    assert warm[0].sent.cached_tokens == total - 1
    assert warm[0].usage == cold[0].usage  # nominal cost does not depend on the cache


async def test_more_siblings_than_slots_are_asked_for_in_parts(embedded_model: LlamaCpp) -> None:
    notes = Notes()
    done = await embedded_model.generate(ask(4, n=10, seed=3), notes)
    assert len(done) == 10
    assert sorted(notes.finished) == list(range(10))


@pytest.mark.parametrize("seed", [0, 77, 2**31 - 1, 2**32 - 1])
async def test_sibling_k_is_drawn_as_if_alone(embedded_model: LlamaCpp, seed: int) -> None:
    request = ask(6, n=3, seed=seed)
    together = await embedded_model.generate(request)
    alone = await embedded_model.generate(request.sibling(2))
    if seed < 2**31 - 2:  # beyond, the server's 32 bits wrap
        assert together[2].text == alone[0].text
    again = await embedded_model.generate(request)
    assert [c.text for c in again] == [c.text for c in together]  # never the "any seed" value


async def test_the_sampler_on_the_server_is_the_law_asked_for(embedded_model: LlamaCpp) -> None:
    law = Sampling(
        temperature=0.7,
        top_p=0.9,
        top_k=17,
        min_p=0.02,
        repeat_penalty=1.1,
        presence_penalty=0.2,
        frequency_penalty=0.3,
    )
    request = Request(prompt="Once", sampling=law, seed=5)
    sent = body(request, (19556,), group=range(3, 4), room=3, prompt_cache=False) | {"n_predict": 1}
    sent |= {"stream": False, "n_probs": 0}
    del sent["logprobs"], sent["stream_options"], sent["return_progress"]
    used = embedded_model._server.ask("/completion", sent)["generation_settings"]
    asked = {
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 17,
        "min_p": 0.02,
        "repeat_penalty": 1.1,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
    }
    for name, value in asked.items():
        assert used[name] == pytest.approx(value, rel=1e-6), name
    assert used["samplers"] == ["penalties", "temperature", "top_k", "top_p", "min_p"]
    assert used["seed"] == 8
    off = {"typical_p": 1.0, "xtc_probability": 0.0, "dry_multiplier": 0.0, "dynatemp_range": 0.0, "mirostat": 0}
    assert {name: used[name] for name in off} == off
    # Every number that the server can be told about its sampler is told, so no default of a later version slips in.
    harmless = {"seed", "max_tokens", "n_predict", "n_keep", "n_discard", "n_probs"}
    depends = {"xtc_threshold", "dry_base", "dry_allowed_length", "dry_penalty_last_n", "dynatemp_exponent"}
    depends |= {"mirostat_tau", "mirostat_eta", "adaptive_decay"}
    numbers = {name for name, value in used.items() if isinstance(value, int | float) and not isinstance(value, bool)}
    assert numbers - harmless - depends <= set(sent)


async def test_logprobs_are_of_the_raw_law(embedded_model: LlamaCpp) -> None:
    greedy, hot = [
        (await embedded_model.generate(ask(1, temperature=t, logprobs=3, seed=1)))[0].tokens for t in (0.0, 2.0)
    ]
    assert greedy is not None
    assert hot is not None
    assert greedy.top is not None
    assert hot.top is not None
    assert greedy.logprobs is not None
    assert len(greedy.top[0]) == 3
    assert greedy.top[0][0][0] == greedy.ids[0]
    assert greedy.top[0][0][2] == greedy.logprobs[0]
    values = [value for _, _, value in greedy.top[0]]
    assert values == sorted(values, reverse=True)
    assert [value for _, _, value in hot.top[0]] == pytest.approx(values, abs=0.2)


async def test_a_prefix_is_continued_and_not_repeated(embedded_model: LlamaCpp) -> None:
    request = ask(5, temperature=0.0, messages=(Message("user", "Count to ten."),), prefix="1, 2, 3, 4,")
    (done,) = await embedded_model.generate(request)
    assert done.text.strip().startswith("5")


async def test_a_stop_string_ends_the_answer_and_is_no_part_of_it(embedded_model: LlamaCpp) -> None:
    (done,) = await embedded_model.generate(ask(40, temperature=0.0, prompt="1, 2, 3, 4,", stop=(" 9,",)))
    assert (done.text, done.finish) == (" 5, 6, 7, 8,", "stop")
    assert done.tokens is not None
    assert "".join(done.tokens.texts) == done.text
    assert len(done.tokens.ids) == done.usage.completion_tokens > 12  # the tokens of the stop string were written too


async def test_text_that_may_become_a_stop_string_survives_the_cut(embedded_model: LlamaCpp) -> None:
    notes = Notes()
    request = ask(13, temperature=0.0, prompt="1, 2, 3, 4,", stop=(" 9,",))
    (done,) = await embedded_model.generate(request, notes)
    assert (done.text, done.finish) == (" 5, 6, 7, 8, ", "length")
    assert notes.texts[0] == done.text


async def test_characters_of_several_tokens_are_whole(embedded_model: LlamaCpp) -> None:
    emoji = "🦄🐉🦄🐉🦄🐉🦄🐉"
    (done,) = await embedded_model.generate(ask(30, temperature=0.0, prompt=emoji, logprobs=0))
    assert done.tokens is not None
    assert done.tokens.logprobs is not None
    assert "\ufffd" not in done.text
    assert "".join(done.tokens.texts) == done.text
    assert len(done.tokens.ids) == len(done.tokens.texts) == len(done.tokens.logprobs) == done.usage.completion_tokens
    assert -1 in done.tokens.ids
    for token, value in zip(done.tokens.ids, done.tokens.logprobs, strict=True):
        assert math.isnan(value) == (token == -1)


async def test_a_schema_is_kept(embedded_model: LlamaCpp) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "big": {"type": "boolean"}},
        "required": ["city", "big"],
        "additionalProperties": False,
    }
    request = ask(80, temperature=0.0, messages=(Message("user", "Give me a city."),), json_schema=schema)
    (done,) = await embedded_model.generate(request)
    assert done.finish == "stop"
    assert set(json.loads(done.text)) == {"city", "big"}


async def test_a_schema_that_the_server_ignores_is_refused(embedded_model: LlamaCpp) -> None:
    request = ask(200, temperature=0.0, messages=(Message("user", "Say hi."),), json_schema={"type": "nonsense"})
    with pytest.raises(RequestRefused, match="JSON schema"):
        await embedded_model.generate(request)


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"prompt": "word " * 600}, BadInput, "takes 512"),
        ({"prompt": ""}, BadInput, "empty"),
        ({"prompt": "half \ud83e"}, BadInput, "no character"),
        ({"prompt": "a", "stop": ("\udc00",)}, BadInput, "no character"),
        ({"prompt": (10**6,)}, RequestRefused, "invalid tokens"),
        ({"messages": (Message("user", "see", images=(Image(data=b"x"),)),)}, BadInput, "text only"),
        ({"tools": ({"name": "f"},)}, RequestRefused, "tools"),
        ({"certainty": True}, RequestRefused, "whole next-token law"),
        ({"prefix": "{", "json_schema": {}}, RequestRefused, "prefix"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    embedded_model: LlamaCpp, fields: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        await embedded_model.generate(ask(**fields))


async def test_cancelling_stops_the_server_and_every_token_was_reported(embedded_model: LlamaCpp) -> None:
    notes, spoken = Notes(), 0
    real = embedded_model._server.stream

    def spy(sent: Any, each: Callable[[dict[str, Any]], bool]) -> None:
        def count(chunk: dict[str, Any]) -> bool:
            nonlocal spoken
            spoken += 1 if "prompt_progress" not in chunk else 0
            return each(chunk)

        real(sent, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded_model._server, "stream", spy)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(embedded_model.generate(ask(400, n=4, prompt="A long list: 1, 2, 3,"), notes))
            await notes.begun.wait()
            task.cancel()
    assert task.cancelled()
    assert sum(notes.counts.values()) == spoken < 400
    assert embedded_model._slots._free == 4
    assert len(await embedded_model.generate(ask(2, n=4))) == 4


async def test_a_request_that_waits_for_slots_can_be_cancelled(embedded_model: LlamaCpp) -> None:
    async with asyncio.TaskGroup() as group:
        notes = Notes()
        running = group.create_task(embedded_model.generate(ask(300, n=4, prompt="1, 2, 3,"), notes))
        waiting = group.create_task(embedded_model.generate(ask(4)))
        await notes.begun.wait()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert not running.done()
        running.cancel()
    assert embedded_model._slots._free == 4


async def test_requests_share_the_slots(embedded_model: LlamaCpp) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(embedded_model.generate(ask(4, n=n, seed=n))) for n in (3, 3, 1, 2, 4)]
    assert [len(task.result()) for task in tasks] == [3, 3, 1, 2, 4]


async def test_embeddings_have_unit_length_and_mean_something(embedded_model: LlamaCpp) -> None:
    texts = ["The cat sleeps on the sofa.", "A cat is sleeping on a couch.", "Interest rates rose by two percent."]
    vectors = await embedded_model.embed(texts)
    assert {len(vector) for vector in vectors} == {576}
    assert [math.fsum(v * v for v in vector) for vector in vectors] == pytest.approx([1.0] * 3, abs=1e-4)
    close, far = [math.fsum(map(float.__mul__, vectors[0], vectors[k])) for k in (1, 2)]
    assert close > far
    assert await embedded_model.embed([]) == []
    for text in ("", "word " * 600, "\ud800"):
        with pytest.raises(BadInput):
            await embedded_model.embed([text])


def test_the_port_is_closed_to_others(embedded_model: LlamaCpp) -> None:
    address = urlsplit(embedded_model._server._server.listening_address)
    assert address.hostname == "127.0.0.1"
    for path in ("/props", "/slots", "/metrics", "/models"):
        assert get(embedded_model, path, Authorization="Bearer guess")[0] == 401
    assert not get(embedded_model, "/health", Origin="http://evil.example")[1]


# -- a server that fails: the real adapter over a broken one -----------------------------------------------------------


class Broken:
    """Stands for the C++ server."""

    def __init__(self, act: Callable[[Callable[[dict[str, Any]], bool]], None]) -> None:
        self.act = act

    def handle_completions(self, body: dict[str, Any], each: Callable[[dict[str, Any]], bool]) -> None:
        self.act(each)


def dies(each: Callable[[dict[str, Any]], bool]) -> None:
    raise RuntimeError("bad allocation")


def goes_silent(each: Callable[[dict[str, Any]], bool]) -> None:
    pass


def fails(each: Callable[[dict[str, Any]], bool]) -> None:
    assert each({"error": {"code": 500, "message": "compute error"}})


def leaves(each: Callable[[dict[str, Any]], bool]) -> None:
    assert each({"error": {"code": 503, "message": "shutting down"}})


def babbles(each: Callable[[dict[str, Any]], bool]) -> None:
    assert each({"choices": [{"index": 0}]})


@pytest.mark.parametrize(
    ("act", "error", "told"),
    [
        (dies, EndpointDown, "bad allocation"),
        (goes_silent, EndpointDown, "middle of an answer"),
        (fails, ProviderError, "compute error"),
        (leaves, EndpointDown, "shutting down"),
        (babbles, ProviderError, "cannot be read"),
    ],
)
async def test_a_failing_server_is_a_provider_error(
    embedded_model: LlamaCpp, monkeypatch: pytest.MonkeyPatch, act: Any, error: type[Exception], told: str
) -> None:
    embedded_model.count(ask())  # so that the tokenizer is not asked below
    monkeypatch.setattr(embedded_model._server, "_server", Broken(act))
    with pytest.raises(error, match=told):
        await embedded_model.generate(ask())
    assert embedded_model._slots._free == 4


# -- models of their own -----------------------------------------------------------------------------------------------


@pytest.fixture
def file(embedded_model: LlamaCpp) -> Path:
    return embedded_model._file


async def test_one_slot_without_cache_repeats_short_and_long_texts(file: Path) -> None:
    model = LlamaCpp.from_spec(str(file), slots=1, prompt_cache=False, context=512)
    try:
        assert model.determinism == "exact"
        for length in (8, 120):
            request = ask(length, n=2, seed=4, temperature=1.0, logprobs=0)
            first = await model.generate(request)
            await model.generate(ask(5, prompt="something in between"))
            assert await model.generate(request) == first
    finally:
        await model.close()


async def test_close_ends_what_runs_and_is_harmless_twice(file: Path) -> None:
    model = LlamaCpp.from_spec(str(file), slots=2, context=256)
    assert model.determinism == "best_effort"
    notes = Notes()
    failed: list[Exception] = []

    async def run() -> None:
        try:
            await model.generate(ask(200, n=2, prompt="1, 2, 3,"), notes)
        except EndpointDown as err:
            failed.append(err)

    async with asyncio.TaskGroup() as group:
        group.create_task(run())
        await notes.begun.wait()
        await model.close()
    assert len(failed) == 1
    await model.close()
    with pytest.raises(EndpointDown, match="closed"):
        await model.generate(ask())
    with pytest.raises(EndpointDown, match="closed"):
        await model.embed(["a"])


def test_files_that_are_no_model_are_refused_in_one_line(file: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="ponder models get smollm2"):
        LlamaCpp.from_spec(str(tmp_path / "none.gguf"))
    cut = tmp_path / "cut.gguf"
    with file.open("rb") as stream:
        cut.write_bytes(stream.read(5_000_000))
    with pytest.raises(BadInput, match="cut short"):
        LlamaCpp.from_spec(str(cut))
    strange = tmp_path / "strange.gguf"
    strange.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(16))
    with pytest.raises(BadInput, match="cannot load"):
        LlamaCpp.from_spec(str(strange))


def test_settings_out_of_range_are_refused(file: Path) -> None:
    for options in ({"slots": 0}, {"context": 0}, {"threads": -1}):
        with pytest.raises(ConfigError):
            LlamaCpp.from_spec(str(file), **options)
