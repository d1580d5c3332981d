"""A fast stand-in for an OpenAI-compatible server, for benchmarks: fixed latency, fixed words, its own count.

Runs in a process of its own, on loopback, on plain asyncio streams (no framework between the socket and the reply),
so that what is measured is the client. A reply has 16 words (tokens) a choice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["counts", "running"]

TOKENS = 16
PROMPT_TOKENS = 10


class Stub:
    """Serves and counts."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.calls = self.choices = self.tokens = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.split(b"\r\n")[1:]:
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                data = json.loads(await reader.readexactly(length)) if length else {}
                if head.startswith(b"GET"):
                    counted = {"calls": self.calls, "choices": self.choices, "tokens": self.tokens}
                    writer.write(_reply(json.dumps(counted).encode()))
                else:
                    await asyncio.sleep(self.latency)
                    self.calls += 1
                    self.choices += data.get("n", 1)
                    self.tokens += PROMPT_TOKENS + TOKENS * data.get("n", 1)
                    writer.write(_events(data) if data.get("stream") else _reply(_body(data)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done
        finally:
            writer.close()


def _body(data: dict[str, Any]) -> bytes:
    n = data.get("n", 1)
    message = {"role": "assistant", "content": "word " * TOKENS}
    choices = [{"index": index, "message": message, "finish_reason": "stop"} for index in range(n)]
    return json.dumps({"object": "chat.completion", "choices": choices, "usage": _usage(n)}).encode()


def _usage(n: int) -> dict[str, int]:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": TOKENS * n,
        "total_tokens": PROMPT_TOKENS + TOKENS * n,
    }


def _events(data: dict[str, Any]) -> bytes:
    n = data.get("n", 1)
    chunks: list[dict[str, Any]] = []
    for index in range(n):
        word = {"choices": [{"index": index, "delta": {"content": "word "}, "finish_reason": None}]}
        chunks += [word] * TOKENS
        chunks.append({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({"choices": [], "usage": _usage(n)})
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    return _reply(text.encode(), kind="text/event-stream")


def _reply(body: bytes, *, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _main(latency: float) -> None:
    server = await asyncio.start_server(Stub(latency).serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


@contextmanager
def running(latency: float) -> Iterator[str]:
    """Run the stub in its own process and give its base URL.

    Args:
        latency: seconds before each reply.
    """
    command = [sys.executable, __file__, "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


def counts(url: str) -> dict[str, int]:
    """Return the stub's own count of calls, choices and tokens."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        counted: dict[str, int] = json.load(reply)
        return counted


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.02)
    asyncio.run(_main(parser.parse_args().latency))
