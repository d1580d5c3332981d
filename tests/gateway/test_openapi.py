"""The document says what the gateway does: routes, statuses and shapes."""

from __future__ import annotations

import json
from typing import Any

import fastjsonschema
import pytest

from ponder.core.store import Store
from ponder.gateway.app import build
from ponder.gateway.chat.protocol import CHUNK, RESPONSE
from ponder.gateway.keys import hash_key
from ponder.gateway.openapi import document
from ponder.gateway.settings import Key, Settings, Upstream
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import chat, scripted, serving

PAGE = ("/assets/", "/ponder/")  # what the page is made of is no interface for programs


async def test_every_route_is_described_and_every_description_has_a_route() -> None:
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        _, text = await house.get("/openapi.json")
        routes = {
            (route.path.replace(":path", ""), method.lower())  # type: ignore[attr-defined]
            for route in build(house.gateway).routes
            for method in route.methods  # type: ignore[attr-defined]
            if method != "HEAD" and not route.path.startswith(PAGE)  # type: ignore[attr-defined]
        }
    described = {(path, method) for path, item in json.loads(text)["paths"].items() for method in item}
    assert described | {("/openapi.json", "get")} == routes - {("/", "get")}


async def test_replies_fit_their_schemas() -> None:
    async with serving(scripted(), {"m": ScriptedModel(replies=("a b", "c"))}) as house:
        paths = document(house.gateway)["paths"]

        def check(path: str, status: int, body: Any, method: str = "get") -> None:
            told = paths[path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
            if "$ref" in told:
                told = document(house.gateway)["components"]["schemas"]["Error"]
            fastjsonschema.compile(told)(body)

        for model in ("single@m", "m", "self_consistency@m", "nothing"):
            check("/v1/chat/completions", *await house.chat(model, n=2 if model == "single@m" else None), "post")
            status, body = await house.post("/v1/completions", {"model": model, "prompt": "x"})
            check("/v1/completions", status, body, "post")
        check("/v1/embeddings", *await house.post("/v1/embeddings", {"model": "m", "input": "x"}), "post")
        for path in ("/v1/models", "/healthz", "/readyz"):
            status, text = await house.get(path)
            check(path, status, json.loads(text))
        for name in ("single@m", "nothing/at/all"):
            status, text = await house.get(f"/v1/models/{name}")
            check("/v1/models/{model}", status, json.loads(text))
        chunk = fastjsonschema.compile(CHUNK)
        for event in await house.stream(chat("self_consistency@m", stream_options={"include_usage": True})):
            if isinstance(event, dict):
                chunk(event)
        fastjsonschema.compile(RESPONSE)((await house.chat("greedy@m", logprobs=True))[1])


async def test_models_say_what_they_need() -> None:
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        _, text = await house.get("/v1/models")
    entries = {entry["id"]: entry["ponder"] for entry in json.loads(text)["data"]}
    assert entries["best_of_n@m"] == {
        "method": "best_of_n",
        "model": "m",
        "needs": ["verifier"],
        "access": ["text"],
        "calls": {"policy": 16},
    }
    assert entries["beam_search@m"]["access"] == ["prefix", "text"]
    assert entries["m"]["method"] == "auto"


async def test_models_are_those_that_a_key_may_use() -> None:
    key = Key(name="k", hash=hash_key("x"), methods=("greedy",), models=("b",))
    upstreams = tuple(Upstream(name=name, spec="scripted:x") for name in "ab")
    async with serving(Settings(upstreams=upstreams, keys=(key,))) as house:
        _, text = await house.get("/v1/models", headers={"Authorization": "Bearer x"})
        assert [entry["id"] for entry in json.loads(text)["data"]] == ["greedy@b"]
        status, _ = await house.get("/v1/models/greedy@a", headers={"Authorization": "Bearer x"})
        assert status == 404


async def test_stored_answers_are_for_those_who_ask() -> None:
    model = ScriptedModel(replies=lambda request, number: f"answer {number}")
    store = Store()
    async with serving(scripted(), {"m": model}, store=store) as house:
        plain = [(await house.chat("greedy@m"))[1] for _ in range(2)]
        assert len({body["choices"][0]["message"]["content"] for body in plain}) == 2
        kept = [(await house.chat("greedy@m", ponder={"store": True}))[1] for _ in range(3)]
        assert len({body["choices"][0]["message"]["content"] for body in kept}) == 1
        assert [body["usage"]["total_tokens"] for body in kept][1:] == [0, 0]  # nothing was sent
        assert model.calls == 3
    store.close()


@pytest.mark.embedded
async def test_the_embedded_model_behind_the_gateway() -> None:
    settings = Settings(upstreams=(Upstream(name="smollm2", spec="embedded", max_concurrent=4),))
    async with serving(settings) as house:
        status, body = await house.chat("single@smollm2", "Say hello.", max_tokens=12, temperature=0, seed=1)
        assert status == 200, body
        text = body["choices"][0]["message"]["content"]
        assert text
        assert body["usage"]["completion_tokens"] <= 12
        asked = chat("single@smollm2", "Say hello.", max_tokens=12, temperature=0, seed=1)
        stream = await house.stream(asked)
        assert "".join(e["choices"][0]["delta"].get("content", "") for e in stream if isinstance(e, dict)) == text
        assert sum(isinstance(e, dict) for e in stream) > 3  # it came in pieces
        status, body = await house.chat(
            "self_consistency@smollm2",
            "What is 2 + 2? Answer with a number.",
            max_tokens=20,
            ponder={"answer": "number", "params": {"n": 3}},
            seed=2,
        )
        assert status == 200, body
        assert body["usage"]["ponder"]["calls"] == 3
        raw = {"model": "greedy@smollm2", "prompt": "One, two, three,", "max_tokens": 6}
        status, body = await house.post("/v1/completions", raw)
        assert (status, "four" in body["choices"][0]["text"]) == (200, True)
