"""An upstream on loopback that sends the stream events a test wrote, when the test lets it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from ponder.gateway.settings import Settings, Upstream

__all__ = ["CUT", "HOLD", "Upstreamed", "chunk", "streaming_from"]

# In a script: wait until `go` is set before the next event.
HOLD = object()
# In a script: break the connection.
CUT = object()


@dataclass
class Upstreamed:
    """The server, and what it was asked.

    Attributes:
        scripts: events of each request, the last script for all that follow.
        go: lets a script go on after `HOLD`.
        seen: bodies.
        aborted: requests that the other side broke off.
    """

    scripts: Sequence[Sequence[Any]]
    go: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[dict[str, Any]] = field(default_factory=list)
    aborted: int = 0
    url: str = ""

    def settings(self, kind: str = "vllm", **more: Any) -> Settings:
        return Settings(upstreams=(Upstream(name="m", spec=f"openai:{self.url}#stub", kind=kind),), **more)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        script = self.scripts[min(len(self.seen), len(self.scripts) - 1)]
        self.seen.append(await request.json())
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        try:
            for event in script:
                if event is HOLD:
                    await self.go.wait()
                elif event is CUT:
                    assert request.transport is not None
                    request.transport.abort()
                    return reply
                else:
                    text = event if isinstance(event, str) else json.dumps(event)
                    await reply.write(f"data: {text}\n\n".encode())
            await reply.write(b"data: [DONE]\n\n")
        except (asyncio.CancelledError, ConnectionError):
            self.aborted += 1
            raise
        return reply


def chunk(delta: dict[str, Any] | None = None, *, index: int = 0, finish: str | None = None, **more: Any) -> Any:
    return {"choices": [{"index": index, "delta": delta or {}, "finish_reason": finish, **more}]}


@asynccontextmanager
async def streaming_from(*scripts: Sequence[Any]) -> AsyncIterator[Upstreamed]:
    """Serve the scripts, one a request."""
    server = Upstreamed(scripts)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.answer)
    app.router.add_post("/v1/completions", server.answer)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/v1"
    try:
        yield server
    finally:
        server.go.set()
        await runner.cleanup()
