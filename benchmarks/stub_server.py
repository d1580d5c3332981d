"""A fast stand-in for an OpenAI-compatible server, for benchmarks: fixed latency, short answers, its own count.

Runs in a process of its own, on loopback, on plain asyncio streams (no framework between the socket and the reply),
so that what is measured is the client. A choice has 16 words (tokens), of which the first numbers it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["counts", "running", "serve"]

TOKENS = 16
PROMPT_TOKENS = 10


class Stub:
    """Serves and counts."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.calls = self.choices = self.prompt = self.completion = 0

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
                    counted = {"calls": self.calls, "choices": self.choices}
                    counted |= {"prompt": self.prompt, "completion": self.completion}
                    writer.write(_reply(json.dumps(counted).encode()))
                else:
                    await asyncio.sleep(self.latency)
                    writer.write((_events if data.get("stream") else _plain)(data.get("n", 1), self.choices))
                    self.calls += 1
                    self.choices += data.get("n", 1)
                    self.prompt += PROMPT_TOKENS
                    self.completion += TOKENS * data.get("n", 1)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done
        finally:
            writer.close()


def _plain(n: int, first: int) -> bytes:
    choices = []
    for index in range(n):
        message = {"role": "assistant", "content": f"{first + index} " + "word " * (TOKENS - 1)}
        choices.append({"index": index, "message": message, "finish_reason": "stop"})
    return _reply(json.dumps({"object": "chat.completion", "choices": choices, "usage": _usage(n)}).encode())


def _usage(n: int) -> dict[str, int]:
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": TOKENS * n,
        "total_tokens": PROMPT_TOKENS + TOKENS * n,
    }


def _events(n: int, first: int) -> bytes:
    chunks: list[dict[str, Any]] = []
    for index in range(n):
        for word in [f"{first + index} ", *["word "] * (TOKENS - 1)]:
            chunks.append({"choices": [{"index": index, "delta": {"content": word}, "finish_reason": None}]})
        chunks.append({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({"choices": [], "usage": _usage(n)})
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    return _reply(text.encode(), kind="text/event-stream")


def _reply(body: bytes, *, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve(latency: float) -> None:
    """Serve until killed; the port is printed first."""
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
    program = f"import asyncio; from benchmarks.stub_server import serve; asyncio.run(serve({latency!r}))"
    root = Path(__file__).parent.parent
    with subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


def counts(url: str) -> dict[str, int]:
    """Return the stub's own count of calls, choices, prompt tokens and completion tokens."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        counted: dict[str, int] = json.load(reply)
        return counted
