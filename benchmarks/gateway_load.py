"""What the benchmarks of the gateway share: servers in processes of their own, load, and what a process has used.

Closed load keeps so many connections busy; open load sends at a rate, whatever comes back, and counts each latency from
the moment at which the request was due, so that a server that stalls cannot hide it. CPU is what the operating system
counts for a process, all threads.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

__all__ = [
    "CHAT",
    "MESSAGES",
    "Served",
    "cpu_seconds",
    "gateway",
    "its_hub",
    "keep_busy",
    "optillm",
    "peak_mb",
    "percentile",
    "resident_mb",
    "send_at",
    "upstream_toml",
]

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Say something about the weather, in a few words."}]


class Served(NamedTuple):
    """A server under test."""

    url: str
    pid: int


def upstream_toml(url: str, name: str = "m", *, kind: str = "", more: str = "") -> str:
    """Return settings of one upstream."""
    return f'[upstreams.{name}]\nspec = "openai:{url}#stub"\nkind = "{kind}"\nmax_concurrent = 2048\n{more}'


@contextmanager
def gateway(settings: str, *, grace: float = 20.0) -> Iterator[Served]:
    """Run `ponder serve` on settings in TOML; what it warns of goes nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateway.toml"
        file.write_text(settings)
        command = [sys.executable, "-m", "ponder", "serve", str(file), "--port", "0", "--grace", str(grace)]
        log = Path(folder) / "log"
        with log.open("wb") as out, subprocess.Popen(command, stderr=out) as process:
            try:
                yield Served(_told_address(process, log), process.pid)
            finally:
                process.terminate()


def _told_address(process: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(1200):
        text = log.read_text()
        if " at http" in text and text.endswith("\n"):
            return text.split(" at ")[1].split("/v1")[0]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"the gateway does not start: {log.read_text()}")


@contextmanager
def optillm(python: str, upstream: str) -> Iterator[Served]:
    """Run optillm's server, quiet."""
    port = _free_port()
    options = ["--port", str(port), "--base-url", upstream, "--log", "error", "--best-of-n", "8"]
    program = Path(python).with_name("optillm")
    with _process([str(program), *options], port, "/v1/models", {"OPENAI_API_KEY": "none"}) as served:
        yield served


@contextmanager
def its_hub(python: str, upstream: str) -> Iterator[Served]:
    """Run its-hub's gateway, quiet. It knows one method, self-consistency; a budget of 1 is a pass-through."""
    port = _free_port()
    command = [str(Path(python).with_name("its-iaas")), "--port", str(port), "--log-level", "ERROR"]
    with _process(command, port, "/v1/models", {}) as served:
        told = {
            "provider": "openai",
            "endpoint": upstream,
            "api_key": "none",
            "model": "stub",
            "alg": "self-consistency",
            "regex_patterns": [r"(\w+)"],
            "budget": 1,
        }
        request = urllib.request.Request(
            f"{served.url}/configure", json.dumps(told).encode(), {"content-type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=30).close()
        yield served


@contextmanager
def _process(command: Sequence[str], port: int, ready: str, env: Mapping[str, str]) -> Iterator[Served]:
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        options: dict[str, Any] = {"env": {**os.environ, **env}, "stdout": log, "stderr": log}
        with subprocess.Popen(command, **options) as process:
            try:
                for _ in range(600):
                    if process.poll() is not None:
                        log.seek(0)
                        raise RuntimeError(log.read().decode(errors="replace").strip().splitlines()[-1])
                    try:
                        urllib.request.urlopen(url + ready, timeout=5).close()
                        break
                    except urllib.error.HTTPError:
                        break  # it answers
                    except OSError:
                        time.sleep(0.1)
                yield Served(url, process.pid)
            finally:
                process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- what a process has used ------------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """Return what the process has used, all threads, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Return the memory that the process holds, in MB."""
    return _status(pid, "VmRSS")


def peak_mb(pid: int) -> float:
    """Return the most memory that the process has held, in MB."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) * 1024 / 1e6


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


# -- load -------------------------------------------------------------------------------------------------------------


async def keep_busy(
    url: str, body: Mapping[str, Any], requests: int, *, connections: int, headers: Mapping[str, str] | None = None
) -> float:
    """Send so many requests over all connections, read each answer whole, and return the seconds it took."""
    left = requests
    data = json.dumps({"messages": MESSAGES, **body}).encode()
    sent = {"content-type": "application/json", **(headers or {})}
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                async with session.post(url + CHAT, data=data, headers=sent) as reply:
                    told = await reply.read()
                    assert reply.status == 200, told

        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(min(connections, requests)):
                group.create_task(work())
        return time.perf_counter() - start


async def send_at(url: str, body: Mapping[str, Any], *, rate: float, seconds: float, seed: int = 0) -> list[float]:
    """Send at a rate (Poisson arrivals) for so long, and return the latencies in ms, each from when it was due."""
    data = json.dumps({"messages": MESSAGES, **body}).encode()
    rng, loop, latencies = random.Random(seed), asyncio.get_running_loop(), list[float]()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(due: float) -> None:
            async with session.post(url + CHAT, data=data, headers={"content-type": "application/json"}) as reply:
                told = await reply.read()
                assert reply.status == 200, told
            latencies.append(1000 * (loop.time() - due))

        due = start = loop.time()
        async with asyncio.TaskGroup() as group:
            while due - start < seconds:
                await asyncio.sleep(max(0.0, due - loop.time()))
                group.create_task(one(due))
                due += rng.expovariate(rate)
    return latencies
