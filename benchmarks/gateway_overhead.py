"""CPU that the gateway takes for a request: handed through (`single`), and for votes over eight samples.

The stub answers after 20 ms in a process of its own, the gateway runs as `ponder serve` in another, and the load comes
from this one over 64 connections. CPU is what the operating system counts for the gateway's process, all threads and
the start of the measured part excluded. The upstream's own count says whether each request made the calls it should.
Limit: 1.5 ms a request handed through. Run: python -m benchmarks.gateway_overhead [requests]
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.stub_server import counts, running

CONNECTIONS, LATENCY, LIMIT_MS = 64, 0.02, 1.5
MESSAGES = [{"role": "user", "content": "Say something about the weather, in a few words."}]
VOTE = {"method": "self_consistency", "params": {"n": 8, "early_stop": "none"}}
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "single": ({"model": "single@m"}, 1),
    "single, streamed": ({"model": "single@m", "stream": True}, 1),
    "self-consistency-8": ({"model": "m", "ponder": VOTE}, 8),
}


@contextmanager
def gateway(upstream: str) -> Iterator[tuple[str, int]]:
    """Run `ponder serve` and give its address and process id."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "gateway.toml"
        settings.write_text(f'[upstreams.m]\nspec = "openai:{upstream}#stub"\nmax_concurrent = 512\n')
        command = [sys.executable, "-m", "ponder", "serve", str(settings), "--port", "0"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                line = process.stderr.readline()
                yield line.split(" at ")[1].split("/v1")[0], process.pid
            finally:
                process.terminate()


def cpu_seconds(pid: int) -> float:
    """Return what the process has used, all threads, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(url: str, body: dict[str, Any], requests: int) -> None:
    """Send so many requests over all connections, and read each answer whole."""
    left = requests
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                async with session.post(f"{url}/v1/chat/completions", json={**body, "messages": MESSAGES}) as reply:
                    data = await reply.read()
                    assert reply.status == 200, data

        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(work())


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    with running(LATENCY) as upstream, gateway(upstream) as (url, pid):
        for name, (body, calls) in CASES.items():
            asyncio.run(load(url, body, CONNECTIONS))  # connections, caches
            before, seen = cpu_seconds(pid), counts(upstream)["choices"]
            asyncio.run(load(url, body, requests))
            spent = 1000 * (cpu_seconds(pid) - before) / requests
            made = (counts(upstream)["choices"] - seen) / requests
            limit = f", {spent / LIMIT_MS:.2f} of the limit of {LIMIT_MS} ms" if name == "single" else ""
            print(f"{name}: {spent:.2f} ms of CPU a request{limit}; {made:g} completions a request (declared {calls})")


if __name__ == "__main__":
    main()
