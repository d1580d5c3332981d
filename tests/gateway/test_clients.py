"""The official client, in both forms, and curl: unchanged but for the address."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any

import openai
import pytest

from ponder.gateway.keys import hash_key
from ponder.gateway.settings import Key, Settings, Upstream
from ponder.models.openai import OpenAI
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import scripted, serving
from tests.models.fault_server import FaultServer

ASK: list[Any] = [{"role": "user", "content": "hello"}]


async def test_the_async_client() -> None:
    model = ScriptedModel(replies=("one two three",), latency=0.05, stream=True)
    async with (
        serving(scripted(), {"m": model}) as house,
        openai.AsyncOpenAI(base_url=house.url + "/v1", api_key="any", max_retries=0) as client,
    ):
        answer = await client.chat.completions.create(model="single@m", messages=ASK, logprobs=True, top_logprobs=1)
        assert answer.choices[0].message.content == "one two three"
        assert answer.usage is not None
        assert answer.usage.total_tokens == 4
        assert answer.choices[0].logprobs is not None
        assert answer.choices[0].logprobs.content is not None
        assert answer.choices[0].logprobs.content[0].token == "one"
        assert answer.usage.model_extra is not None
        assert answer.usage.model_extra["ponder"]["calls"] == 1

        text, usage = "", None
        stream = await client.chat.completions.create(
            model="m", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
        assert text == "one two three"
        assert usage is not None
        assert usage.completion_tokens == 3

        voted = await client.chat.completions.create(
            model="self_consistency@m", messages=ASK, extra_body={"ponder": {"params": {"n": 3}}}
        )
        assert voted.choices[0].message.content == "one two three"

        listed = [entry.id async for entry in client.models.list()]
        assert {"m", "single@m", "self_consistency@m"} <= set(listed)
        assert (await client.models.retrieve("single@m")).id == "single@m"

        raw = await client.completions.create(model="single@m", prompt="go on", echo=True)
        assert raw.choices[0].text == "go onone two three"
        pieces = await client.completions.create(model="single@m", prompt="go on", stream=True)
        assert "".join([c.choices[0].text async for c in pieces if c.choices]) == "one two three"


async def test_errors_are_the_clients_own() -> None:
    key = Key(name="ann", hash=hash_key("good"))
    async with serving(scripted(keys=(key,)), {"m": ScriptedModel(latency=30)}) as house:
        async with openai.AsyncOpenAI(base_url=house.url + "/v1", api_key="bad", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError):
                await client.models.list()
        async with openai.AsyncOpenAI(base_url=house.url + "/v1", api_key="good", max_retries=0) as client:
            with pytest.raises(openai.BadRequestError, match="Did you mean 'm'"):
                await client.chat.completions.create(model="mm", messages=ASK)
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(
                    model="single@m", messages=ASK, extra_body={"ponder": {"deadline_ms": 50}}
                )
            assert caught.value.status_code == 504
            with pytest.raises(openai.NotFoundError):
                await client.models.retrieve("nothing")


async def test_a_stream_that_breaks_is_an_error_of_the_client() -> None:
    async with FaultServer(script=["500"] * 90, latency=0.3) as server:
        settings = Settings(upstreams=(Upstream(name="m", spec=f"openai:{server.url}#stub"),))
        async with (
            serving(settings) as house,
            openai.AsyncOpenAI(base_url=house.url + "/v1", api_key="any", max_retries=0) as client,
        ):
            with pytest.raises(openai.APIError):  # noqa: PT012 - it may come with the headers or within the stream
                stream = await client.chat.completions.create(
                    model="self_consistency@m", messages=ASK, stream=True, extra_body={"ponder": {"params": {"n": 2}}}
                )
                async for _ in stream:
                    pass


async def test_the_plain_client_in_a_thread() -> None:
    def ask(url: str) -> tuple[str, str]:
        with openai.OpenAI(base_url=url + "/v1", api_key="any") as client:
            answer = client.chat.completions.create(model="greedy@m", messages=ASK)
            stream = client.chat.completions.create(model="greedy@m", messages=ASK, stream=True)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
            return answer.choices[0].message.content or "", text

    async with serving(scripted(), {"m": ScriptedModel(replies=("plain",))}) as house:
        assert await asyncio.to_thread(ask, house.url) == ("plain", "plain")


async def test_structured_answers_are_parsed_by_the_client() -> None:
    async with FaultServer(says='{"value":7}') as server:
        model = OpenAI(model="stub", base_url=server.url, kind="vllm", retries=0)
        settings = Settings(upstreams=(Upstream(name="m", spec="scripted:x"),))
        async with (
            serving(settings, {"m": model}) as house,
            openai.AsyncOpenAI(base_url=house.url + "/v1", api_key="any") as client,
        ):
            from pydantic import BaseModel

            class Thing(BaseModel):
                value: int

            answer = await client.chat.completions.parse(model="single@m", messages=ASK, response_format=Thing)
            assert answer.choices[0].message.parsed == Thing(value=7)
        assert server.seen[0]["response_format"]["json_schema"]["name"] == "Thing"


async def test_embeddings_are_handed_through() -> None:
    from aiohttp import web

    seen: list[Any] = []

    async def embed(request: web.Request) -> web.Response:
        body = await request.json()
        seen.append(body)
        data = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        return web.json_response({"object": "list", "data": data, "model": "inner", "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/embeddings", embed)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        upstreams = (
            Upstream(name="e", spec=f"openai:http://{host}:{port}/v1#inner"),
            Upstream(name="t", spec="scripted:x"),
        )
        async with (
            serving(Settings(upstreams=upstreams)) as house,
            openai.AsyncOpenAI(base_url=house.url + "/v1", api_key="any") as client,
        ):
            answer = await client.embeddings.create(model="e", input=["a b c"], encoding_format="float")
            assert answer.data[0].embedding == [0.5, -0.25]
            assert answer.model == "e"
            with pytest.raises(openai.BadRequestError, match="gives no embeddings"):
                await client.embeddings.create(model="t", input="x")
            (day,) = [
                line
                for line in await house.gateway.account.report(None)
                if line.unit == "tokens" and line.period == "day"
            ]
            assert (day.spent, day.reserved) == (3, 0)
        assert seen[0]["model"] == "inner"
        assert seen[0]["input"] == ["a b c"]
    finally:
        await runner.cleanup()


@pytest.mark.system("curl")
async def test_curl() -> None:
    assert shutil.which("curl")
    async with serving(scripted(), {"m": ScriptedModel(replies=("hello there",))}) as house:

        async def curl(*args: str) -> bytes:
            process = await asyncio.create_subprocess_exec(
                "curl", "-sS", "-N", "--max-time", "20", *args, stdout=asyncio.subprocess.PIPE
            )
            out, _ = await process.communicate()
            return out

        body = json.dumps({"model": "m", "messages": ASK})
        kind = ("-H", "Content-Type: application/json")
        reply = json.loads(await curl(house.url + "/v1/chat/completions", *kind, "-d", body))
        assert reply["choices"][0]["message"]["content"] == "hello there"
        streamed = json.dumps({"model": "m", "messages": ASK, "stream": True})
        out = await curl("-i", house.url + "/v1/chat/completions", *kind, "-d", streamed)
        assert b"x-ponder-trace: " in out
        assert out.rstrip().endswith(b"data: [DONE]")
        assert json.loads(await curl(house.url + "/healthz"))["status"] == "ok"
