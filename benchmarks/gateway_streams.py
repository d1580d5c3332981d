"""A thousand clients that read a stream each at the same time: memory of the gateway, and whether all of it arrives.

The upstream spreads the 16 tokens of each answer over some seconds, so that all streams are open together.
Limits: 600 MB at the most, no token lost, every stream ends with [DONE]. Run: python -m benchmarks.gateway_streams
[streams]
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import aiohttp

from benchmarks.gateway_load import CHAT, cpu_seconds, gateway, peak_mb, resident_mb, upstream_toml
from benchmarks.gateway_upstream import TOKENS, Upstream

SECONDS, LIMIT_MB = 15.0, 600.0


async def read_all(url: str, streams: int) -> tuple[int, int, int]:
    """Return whole streams, tokens that came, and the most streams that were open together."""
    whole = tokens = opened = most = 0
    message = {"role": "user", "content": f"drip {SECONDS:g}"}
    body = {"model": "single@m", "stream": True, "messages": [message]}
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=SECONDS + 120)
    )

    async def one() -> None:
        nonlocal whole, tokens, opened, most
        done = False
        async with session.post(url + CHAT, json=body) as reply:
            assert reply.status == 200, await reply.text()
            opened += 1
            most = max(most, opened)
            async for line in reply.content:
                if line == b"data: [DONE]\n":
                    done = True
                elif line.startswith(b"data: "):
                    for choice in json.loads(line[6:])["choices"]:
                        tokens += len((choice["delta"].get("content") or "").split())
            opened -= 1
        whole += done

    async with session, asyncio.TaskGroup() as group:
        for _ in range(streams):
            group.create_task(one())
            await asyncio.sleep(SECONDS / 3 / streams)
    return whole, tokens, most


def main(streams: int) -> None:
    settings = "[admission]\nmax_running = 4096\n"
    with Upstream(0.02) as upstream, gateway(upstream_toml(upstream.url) + settings) as served:
        idle, used, start = resident_mb(served.pid), cpu_seconds(served.pid), time.perf_counter()
        whole, tokens, most = asyncio.run(read_all(served.url, streams))
        seconds = time.perf_counter() - start
        used, peak = cpu_seconds(served.pid) - used, peak_mb(served.pid)
        print(f"{streams} streams, at most {most} open together; {whole} whole, {tokens} of {TOKENS * streams} tokens")
        print(f"memory {idle:.0f} MB idle, {peak:.0f} MB at the most, {peak / LIMIT_MB:.2f} of {LIMIT_MB:g} MB")
        print(f"{1000 * used / streams:.2f} ms of CPU a stream, {seconds:.1f} s")
        print("nothing lost" if (whole, tokens) == (streams, TOKENS * streams) else "LOST")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
