"""The yardstick of the endpoint benchmarks: a call on bare aiohttp, and the smallest sink that counts."""

from __future__ import annotations

import json

import aiohttp

from ponder.core.model import Completion

__all__ = ["PROMPT", "Counting", "bare_call", "session"]

PROMPT = "What is 6 times 7?"


class Counting:
    """The smallest sink that does something with what it is told."""

    def __init__(self) -> None:
        self.tokens = 0

    def token(self, index: int, text: str, count: int = 1) -> None:
        """Count."""
        self.tokens += count

    def prompt(self, index: int, tokens: int) -> None:
        """Ignore."""

    def done(self, index: int, completion: Completion) -> None:
        """Ignore."""


def session(connections: int) -> aiohttp.ClientSession:
    """Return a session with so many connections."""
    return aiohttp.ClientSession(
        headers={"Content-Type": "application/json"}, connector=aiohttp.TCPConnector(limit=connections)
    )


async def bare_call(session: aiohttp.ClientSession, url: str, seed: int, *, streamed: bool) -> int:
    """Post, read, json.loads of the reply (or of each event), and return the tokens that the server reports."""
    body = {"model": "stub", "messages": [{"role": "user", "content": PROMPT}], "seed": seed}
    if streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    async with session.post(f"{url}/chat/completions", data=json.dumps(body).encode()) as response:
        if not streamed:
            return int(json.loads(await response.read())["usage"]["total_tokens"])
        text = ""
        usage: dict[str, int] = {}
        async for line in response.content:
            if line.startswith(b"data: {"):
                event = json.loads(line[6:])
                usage = event.get("usage") or usage
                for choice in event["choices"]:
                    text += choice["delta"].get("content", "")
        return int(usage["total_tokens"])
