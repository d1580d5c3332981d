"""A gateway on loopback in the test's own event loop, with models that the test made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from ponder.core.model import Model
from ponder.core.store import Store
from ponder.gateway.gateway import Gateway
from ponder.gateway.lifespan import _bind, make_server
from ponder.gateway.settings import Settings, Upstream
from ponder.gateway.upstreams import open_upstream

__all__ = ["Address", "events", "scripted", "serving"]


@dataclass
class Address:
    """Where it is, and what it is made of."""

    url: str
    gateway: Gateway
    session: aiohttp.ClientSession
    server: Any = field(repr=False)

    async def post(self, path: str, body: Any = None, *, data: bytes | None = None, **options: Any) -> tuple[int, Any]:
        sent = json.dumps(body).encode() if data is None else data
        headers = {"content-type": "application/json", **options.pop("headers", {})}
        async with self.session.post(self.url + path, data=sent, headers=headers, **options) as reply:
            self.headers = dict(reply.headers)
            return reply.status, json.loads(await reply.read())

    async def get(self, path: str, **options: Any) -> tuple[int, str]:
        async with self.session.get(self.url + path, **options) as reply:
            self.headers = dict(reply.headers)
            return reply.status, await reply.text()

    async def chat(self, model: str = "m", text: str = "hello", **more: Any) -> tuple[int, Any]:
        return await self.post("/v1/chat/completions", chat(model, text, **more))

    async def stream(self, body: Mapping[str, Any], path: str = "/v1/chat/completions") -> list[Any]:
        """Return the events of a stream: JSON objects, comments as texts, and "[DONE]"."""
        async with self.session.post(self.url + path, json={**body, "stream": True}) as reply:
            assert reply.status == 200, await reply.text()
            assert reply.content_type == "text/event-stream"
            self.headers = dict(reply.headers)
            return events(await reply.read())


def chat(model: str = "m", text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def events(data: bytes) -> list[Any]:
    out: list[Any] = []
    for block in data.decode().split("\n\n"):
        if block.startswith(":"):
            out.append(block)
        elif block == "data: [DONE]":
            out.append("[DONE]")
        elif block:
            out.append(json.loads(block.removeprefix("data: ")))
    return out


def text_of(stream: list[Any], choice: int = 0) -> str:
    return "".join(
        part["delta"].get("content") or ""
        for event in stream
        if isinstance(event, dict)
        for part in event.get("choices", ())
        if part["index"] == choice
    )


def scripted(name: str = "m", **more: Any) -> Settings:
    """Settings of one upstream, whose model the test gives."""
    return Settings(upstreams=(Upstream(name=name, spec="scripted:x"),), **more)


@asynccontextmanager
async def serving(
    settings: Settings, models: Mapping[str, Model] | None = None, *, grace: float = 1.0, store: Store | None = None
) -> AsyncIterator[Address]:
    """Serve `settings`; upstreams whose names are in `models` are those."""

    def opener(upstream: Upstream) -> Model:
        given = (models or {}).get(upstream.name)
        return open_upstream(upstream) if given is None else given

    gateway = await Gateway.open(settings, opener=opener, store=store)
    server = make_server(gateway, grace=grace)
    listener = _bind("127.0.0.1", 0)
    failure: list[BaseException] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]))
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.005)
            host, port = listener.getsockname()[:2]
            try:
                async with aiohttp.ClientSession() as session:
                    yield Address(f"http://{host}:{port}", gateway, session, server)
            except BaseException as err:  # the server ends in order all the same
                failure.append(err)
            server.should_exit = True
    finally:
        listener.close()
    if failure:
        raise failure[0]
