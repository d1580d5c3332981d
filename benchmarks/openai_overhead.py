"""Calls a second through the `openai` back-end, with and without pacing and metering: 5,000 calls, 64 at a time.

The stub answers after 20 ms in a process of its own, so no client passes 3,200 calls a second. All ways stream, as the
metered proxy does. Paced means limits so high that nobody waits: the cost of the pacing itself. Printed are medians
over interleaved rounds.
Run: python -m benchmarks.openai_overhead [rounds]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import aiohttp

from benchmarks.bare_client import PROMPT, Counting, bare_call, session
from benchmarks.stub_server import counts, running
from ponder.core.budget import Budget, Meter
from ponder.core.context import Context
from ponder.core.model import Request, Sampling
from ponder.core.store import Store
from ponder.core.task import Message
from ponder.core.trace import Trace
from ponder.models.openai import OpenAI

CALLS, CONNECTIONS, LATENCY = 5_000, 64, 0.02
REQUEST = Request(messages=(Message("user", PROMPT),), sampling=Sampling(max_tokens=32))
FREE = {"requests_per_minute": 1e9, "tokens_per_minute": 1e12}


def opened(url: str, name: str, **pace: float) -> OpenAI:
    """A model at an address of its own: an endpoint has one pace."""
    return OpenAI.from_spec(f"{url}/{name}#stub", gives=("text", "seed"), connections=CONNECTIONS, **pace)


async def bare(client: aiohttp.ClientSession, url: str) -> int:
    free = asyncio.Semaphore(CONNECTIONS)

    async def one(seed: int) -> int:
        async with free:
            return await bare_call(client, url, seed, streamed=True)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(seed)) for seed in range(CALLS)]
    return sum(task.result() for task in tasks)


async def alone(model: OpenAI) -> int:
    async def one(seed: int) -> int:
        return (await model.generate(REQUEST.sibling(seed), Counting()))[0].usage.tokens

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(seed)) for seed in range(CALLS)]
    return sum(task.result() for task in tasks)


async def metered(model: OpenAI, directory: Path | None = None) -> int:
    """The same calls through budget, meter and trace, and through a store on disk where a directory is given."""
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        store = None if directory is None else Store(Path(scratch) / "store.sqlite")
        context = Context(
            models={"policy": model},
            meter=Meter(Budget(calls=CALLS, tokens=1_000 * CALLS)),
            trace=Trace(),
            store=store,
        )
        draws = await context.model().sample(Request(messages=REQUEST.messages, n=CALLS), path=("sample", "task"))
        if store is not None:
            store.close()
    return sum(draw.usage.tokens for draw in draws)


async def main(rounds: int) -> None:
    with running(LATENCY) as url, tempfile.TemporaryDirectory() as scratch:
        plain, paced = opened(url, "plain"), opened(url, "paced", **FREE)
        async with session(CONNECTIONS) as client:
            ways: dict[str, Callable[[], Awaitable[int]]] = {
                "bare aiohttp": partial(bare, client, url),
                "back-end": partial(alone, plain),
                "back-end, paced": partial(alone, paced),
                "metered": partial(metered, plain),
                "metered, paced": partial(metered, paced),
                "metered, paced, stored": partial(metered, paced, Path(scratch)),
            }
            wall: dict[str, list[float]] = {name: [] for name in ways}
            cpu: dict[str, list[float]] = {name: [] for name in ways}
            tokens = 0
            for _ in range(rounds):
                for name, run in ways.items():
                    start, used = time.perf_counter(), time.process_time()
                    tokens += await run()
                    wall[name].append(time.perf_counter() - start)
                    cpu[name].append(time.process_time() - used)
        await plain.close()
        await paced.close()
        served = sum(counts(url)[kind] for kind in ("prompt", "completion"))
    print(f"{CALLS} calls, {CONNECTIONS} at a time, {LATENCY * 1000:.0f} ms stub, medians of {rounds} rounds")
    print(f"{'':24}{'calls a second':>15}{'of bare':>9}{'CPU ms a call':>15}")
    base = statistics.median(wall["bare aiohttp"])
    for name in ways:
        middle = statistics.median(wall[name])
        each = statistics.median(cpu[name]) / CALLS * 1000
        print(f"{name:24}{CALLS / middle:15.0f}{base / middle:9.2f}{each:15.3f}")
    print(f"tokens reported {tokens}, served {served}, ratio {tokens / served:.4f}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
