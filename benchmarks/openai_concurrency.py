"""Latency of many calls at once: the `openai` back-end against bare aiohttp on the same stub, up to 1,000 in flight.

The stub answers after 20 ms in a process of its own; the bare client's curve is what stub and machine give. Printed are
medians over interleaved rounds of the median and the 95th percentile of one call's latency, and the peak of the
resident set of a fresh process of each kind. Goal: at 1,000 calls at most 20 % above the bare curve.
Run: python -m benchmarks.openai_concurrency [rounds]
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import aiohttp

from benchmarks.bare_client import PROMPT, Counting, bare_call, session
from benchmarks.stub_server import running
from ponder.core.model import Request, Sampling
from ponder.core.task import Message
from ponder.models.openai import OpenAI

LATENCY = 0.02
LEVELS = (1, 64, 256, 1000)
WAYS = ("bare, plain", "ours, plain", "bare, streamed", "ours, streamed")
ROOT = Path(__file__).parent.parent
REQUEST = Request(messages=(Message("user", PROMPT),), sampling=Sampling(max_tokens=32))
Call = Callable[[int], Awaitable[object]]


def ways(opened: aiohttp.ClientSession, model: OpenAI, url: str) -> dict[str, Call]:
    async def ours(streamed: bool, seed: int) -> object:
        return await model.generate(REQUEST.sibling(seed), Counting() if streamed else None)

    calls: tuple[Call, ...] = (
        lambda seed: bare_call(opened, url, seed, streamed=False),
        partial(ours, False),
        lambda seed: bare_call(opened, url, seed, streamed=True),
        partial(ours, True),
    )
    return dict(zip(WAYS, calls, strict=True))


async def latencies(call: Call, count: int) -> list[float]:
    """Seconds of each of `count` calls that start together."""
    taken = []

    async def one(seed: int) -> None:
        start = time.perf_counter()
        await call(seed)
        taken.append(time.perf_counter() - start)

    async with asyncio.TaskGroup() as group:
        for seed in range(count):
            group.create_task(one(seed))
    return sorted(taken)


def peak() -> int:
    """Highest resident set of this process in KB (Linux; ru_maxrss would be that of the parent)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


async def memory(way: str, url: str) -> None:
    """Make 1,000 calls at once, twice, and print how far they raised the peak of this process, in KB."""
    model = OpenAI.from_spec(f"{url}#stub", connections=LEVELS[-1])
    async with session(LEVELS[-1]) as opened:
        call = ways(opened, model, url)[way]
        await call(0)
        before = peak()
        for _ in range(2):
            await latencies(call, LEVELS[-1])
        print(peak() - before, before)
    await model.close()


async def measure(rounds: int, url: str) -> None:
    model = OpenAI.from_spec(f"{url}#stub", connections=LEVELS[-1])
    middle: dict[tuple[str, int], list[float]] = {}
    high: dict[tuple[str, int], list[float]] = {}
    async with session(LEVELS[-1]) as opened:
        calls = ways(opened, model, url)
        for turn in range(rounds + 1):
            for count in LEVELS:
                for way, call in calls.items():
                    taken = await latencies(call, count)
                    if turn:  # the first opens the connections
                        middle.setdefault((way, count), []).append(statistics.median(taken))
                        high.setdefault((way, count), []).append(taken[int(0.95 * (count - 1))])
    await model.close()
    print(f"{LATENCY * 1000:.0f} ms stub, medians of {rounds} interleaved rounds; ms a call: median (95 %)")
    print(f"{'in flight':>16}" + "".join(f"{count:>18}" for count in LEVELS))
    for way in WAYS:
        cells = [
            f"{statistics.median(middle[way, count]) * 1e3:8.1f} ({statistics.median(high[way, count]) * 1e3:7.1f})"
            for count in LEVELS
        ]
        print(f"{way:16}" + "".join(f"{cell:>18}" for cell in cells))
    for kind in ("plain", "streamed"):
        ratios = [
            statistics.median(middle[f"ours, {kind}", count]) / statistics.median(middle[f"bare, {kind}", count])
            for count in LEVELS
        ]
        print(f"ours / bare, {kind}: " + ", ".join(f"{r:.2f} at {n}" for r, n in zip(ratios, LEVELS, strict=True)))


def main(rounds: int) -> None:
    with running(LATENCY) as url:
        asyncio.run(measure(rounds, url))
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.openai_concurrency", way, url]
            out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
            more, base = map(int, out.split())
            print(f"memory of {LEVELS[-1]} in flight, {way}: {more / 1024:.0f} MB above {base / 1024:.0f} MB")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        asyncio.run(memory(*sys.argv[1:]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
