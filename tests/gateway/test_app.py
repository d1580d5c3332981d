"""The doors: hostile and broken requests get a 4xx in OpenAI's format, whatever they hold."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import fastjsonschema
import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.gateway import exchange
from ponder.gateway.chat import protocol
from ponder.gateway.completions import protocol as raw
from ponder.gateway.errors import ApiError
from ponder.gateway.keys import hash_key
from ponder.gateway.schema import ERROR
from ponder.gateway.settings import Key, RequestRules, Server
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import chat, scripted, serving

is_error = fastjsonschema.compile(ERROR)
CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"nonsense",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe{}",
        b'{"model": "m", "messages": NaN}',
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": Infinity}',
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "seed": ' + b"9" * 6000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"model": "m"}',
        b'{"messages": []}',
    ],
)
async def test_what_is_no_request_is_a_400(data: bytes) -> None:
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        status, body = await house.post(CHAT, data=data)
        assert status == 400
        is_error(body)
        assert (await house.chat())[0] == 200  # and nothing is broken


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages"),
        ({"model": 5}, "model"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"n": 0}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": 10**9}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a", ""]}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"ponder": {"budgte": {}}}, "ponder"),
        ({"ponder": {"budget": {"tokens": -1}}}, "ponder"),
        ({"ponder": {"deadline_ms": 0}}, "ponder"),
        ({"ponder": {"answer": "nosuchtype"}}, None),
        ({"ponder": {"store": True}}, "ponder.store"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"messages": [{"role": "user", "content": ""}]}, None),
    ],
)
async def test_a_wrong_field_is_named(change: dict[str, Any], param: str | None) -> None:
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        status, body = await house.post(CHAT, chat() | change)
        assert status == 400, body
        is_error(body)
        assert (body["error"]["param"] or "").startswith(param or "")


async def test_unknown_fields_and_nulls_are_let_through() -> None:
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        nulls: dict[str, Any] = dict.fromkeys(
            name for name in protocol.REQUEST["properties"] if name not in ("model", "messages")
        )
        status, body = await house.chat(**nulls, frobnicate={"deep": [1, None]})
        assert status == 200, body


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted(protocol.REQUEST["properties"])


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5), st.sampled_from([protocol.check, raw.check]))
def test_any_body_is_taken_or_refused_in_order(change: dict[str, Any], check: Any) -> None:
    for body in (change, chat() | change, {"model": "m", "prompt": "x"} | change):
        refused: ApiError | None = None
        try:
            check(body)
        except ApiError as err:
            refused = err
        if refused is not None:
            assert refused.status == 400
            is_error(refused.body())
            assert len(refused.message) <= 500


@pytest.mark.slow
@hypothesis.settings(max_examples=8)
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4), min_size=12, max_size=12))
def test_no_body_is_a_fault_of_ours(changes: list[dict[str, Any]]) -> None:
    async def ask_all() -> None:
        async with serving(scripted(), {"m": ScriptedModel()}) as house:
            for change in changes:
                for path, base in ((CHAT, chat()), ("/v1/completions", {"model": "m", "prompt": "x"})):
                    body = {**base, **change, "stream": False}
                    status, reply = await house.post(path, body)
                    assert status in (200, 400, 402, 413), (status, reply, body)

    asyncio.run(ask_all())


async def test_bodies_have_a_size() -> None:
    async with serving(scripted(request=RequestRules(max_body_bytes=2000)), {"m": ScriptedModel()}) as house:
        big = json.dumps(chat(text="x" * 3000)).encode()
        status, body = await house.post(CHAT, data=big)
        assert (status, body["error"]["code"]) == (413, "body_too_large")

        async def pieces() -> Any:
            for place in range(0, len(big), 500):
                yield big[place : place + 500]
                await asyncio.sleep(0)

        try:
            async with house.session.post(house.url + CHAT, data=pieces()) as reply:  # no length is told
                assert reply.status == 413
        except (aiohttp.ClientError, OSError):
            pass  # the gateway had answered and hung up before all was sent
        assert (await house.chat())[0] == 200


async def test_a_body_that_never_arrives_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BODY_SECONDS", 0.1)
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        host, port = house.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{")
        assert b" 408 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_routes_that_are_not_there_answer_in_the_same_form() -> None:
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        for method, path, said in (("GET", "/nowhere", 404), ("GET", CHAT, 405), ("DELETE", "/v1/models", 405)):
            async with house.session.request(method, house.url + path) as reply:
                assert reply.status == said
                is_error(await reply.json())
                if said == 405:
                    assert reply.headers["Allow"]


async def test_keys_open_the_door() -> None:
    settings = scripted(keys=(Key(name="ann", hash=hash_key("secret")),))
    async with serving(settings, {"m": ScriptedModel()}) as house:
        for path in (CHAT, "/v1/completions", "/v1/embeddings"):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
                status, body = await house.post(path, chat(), headers=headers)
                assert (status, body["error"]["code"]) == (401, "invalid_api_key")
                assert "wrong" not in json.dumps(body)
        for path in ("/v1/models", "/metrics"):
            assert (await house.get(path))[0] == 401
        assert (await house.get("/healthz"))[0] == 200
        status, _ = await house.post(CHAT, chat(), headers={"Authorization": "Bearer secret"})
        assert status == 200


async def test_pages_of_other_sites_cannot_spend() -> None:
    """A browser sends such a request without asking first; without keys only its headers tell."""
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
            status, body = await house.post(CHAT, chat(), headers={"content-type": "text/plain", **headers})
            assert (status, body["error"]["code"]) == (403, "foreign_origin"), headers
        assert (await house.post(CHAT, chat(), headers={"Origin": house.url}))[0] == 200
        status, _ = await house.get("/healthz", headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in house.headers


async def test_cors_is_for_the_origins_that_the_settings_name() -> None:
    settings = scripted(server=Server(cors_origins=("https://page.example",)))
    async with serving(settings, {"m": ScriptedModel()}) as house:
        asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
        async with house.session.options(house.url + CHAT, headers=asked) as reply:
            assert reply.headers["Access-Control-Allow-Origin"] == "https://page.example"
        status, _ = await house.post(CHAT, chat(), headers={"Origin": "https://page.example"})
        assert status == 200
        assert house.headers["Access-Control-Allow-Origin"] == "https://page.example"
        async with house.session.options(
            house.url + CHAT, headers={**asked, "Origin": "https://evil.example"}
        ) as reply:
            assert "Access-Control-Allow-Origin" not in reply.headers


async def test_a_fault_of_ours_tells_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret is 5ecret")

    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        monkeypatch.setattr("ponder.gateway.chat.serving.ask_of", broken)
        status, body = await house.chat()
        assert status == 500
        is_error(body)
        assert "5ecret" not in json.dumps(body)
        assert "5ecret" in caplog.text  # but whoever runs it can find it


async def test_head_and_keep_alive() -> None:
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        async with house.session.head(house.url + "/healthz") as reply:
            assert reply.status == 200
            assert await reply.read() == b""
        for _ in range(3):
            assert (await house.chat())[0] == 200
