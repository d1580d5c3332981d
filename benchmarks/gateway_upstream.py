"""An OpenAI-compatible upstream that drips, breaks and lies on demand, for the gateway's benchmarks of faults.

What it does is the first word of the last message, so the client decides and can count: `ok`; `drip SECONDS` (a stream
whose tokens are spread over so long); `drop` (closes without a reply); `reset` (a TCP reset in the middle of the
reply);
`garbage` (a reply that is no JSON); `odd` (JSON of another shape); `error` (status 500). It runs in a process of its
own,
listens where it is told, and so can be killed and started again. It keeps its own count of requests by word; one that
broke off before the reply was whole counts as `broken`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

__all__ = ["TOKENS", "Upstream"]

TOKENS = 16


class _Stub:
    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.counts: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        if head.startswith(b"GET"):
            _plain(writer, json.dumps(self.counts).encode())
            await writer.drain()
            return True
        data = json.loads(await reader.readexactly(length))
        word, _, rest = data["messages"][-1]["content"].partition(" ")
        self.counts[word] += 1
        try:
            await asyncio.sleep(self.latency)
            return await self._reply(writer, word, rest, bool(data.get("stream")))
        except (ConnectionError, asyncio.CancelledError):
            self.counts["broken"] += 1
            raise

    async def _reply(self, writer: asyncio.StreamWriter, word: str, rest: str, stream: bool) -> bool:
        if word == "drop":
            return False
        if word == "error":
            _plain(writer, b'{"error": {"message": "out of order"}}', status="500 Internal Server Error")
        elif word == "garbage":
            _plain(writer, b"<html>" + b"\xff\xfe{" * 20)
        elif word == "odd":
            _plain(writer, b'{"choices": [{"message": {"content": 7}}, null], "usage": "none"}')
        elif stream:
            pause = float(rest.split()[0]) / TOKENS if word == "drip" else 0.0
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(TOKENS):
                _event(writer, {"choices": [{"index": 0, "delta": {"content": f"w{number} "}, "finish_reason": None}]})
                if word == "reset" and number == TOKENS // 2:
                    return await _reset(writer)
                if pause:
                    await writer.drain()
                    await asyncio.sleep(pause)
            _event(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            _event(writer, {"choices": [], "usage": _USAGE})
            writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        else:
            text = " ".join(f"w{number}" for number in range(TOKENS))
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            body = json.dumps({"object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()
            if word == "reset":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[: len(body) // 2])
                return await _reset(writer)
            _plain(writer, body)
        await writer.drain()
        return True


_USAGE = {"prompt_tokens": 10, "completion_tokens": TOKENS, "total_tokens": 10 + TOKENS}


def _event(writer: asyncio.StreamWriter, value: object) -> None:
    data = b"data: " + json.dumps(value).encode() + b"\n\n"
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


def _plain(writer: asyncio.StreamWriter, body: bytes, *, status: str = "200 OK") -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def _reset(writer: asyncio.StreamWriter) -> bool:
    await writer.drain()
    await asyncio.sleep(0.01)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


async def _serve(port: int, latency: float) -> None:
    server = await asyncio.start_server(_Stub(latency).serve, "127.0.0.1", port, backlog=4096, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


class Upstream:
    """Runs it; as a context manager, starts and ends it."""

    def __init__(self, latency: float) -> None:
        self.latency, self.port = latency, 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start it, on the port that it had before."""
        command = [sys.executable, "-m", "benchmarks.gateway_upstream", str(self.port), str(self.latency)]
        root = Path(__file__).parent.parent
        self._process = subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """End it at once, as a crash would; its counts are lost."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def counts(self) -> Counter[str]:
        """Return its own count of requests by word."""
        with urllib.request.urlopen(self.url, timeout=10) as reply:
            return Counter(json.load(reply))

    def __enter__(self) -> Upstream:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
