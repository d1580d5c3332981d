"""Wall time and CPU of 64 samples over 64 connections: the `openai` back-end against a bare aiohttp loop.

One run prints the medians of interleaved rounds, plain and streamed (as the metered proxy asks for it): the bare loop
(post, read, json.loads of the reply or of each event), then ours, set against the bare loop of its own kind. The stub
answers after 20 ms in a process of its own. Goals: wall at most 1.3 x, at most 0.5 ms of CPU a call.
Run: python -m benchmarks.openai_best_of_64 [rounds]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp

from benchmarks.bare_client import PROMPT, Counting, bare_call, session
from benchmarks.stub_server import counts, running
from ponder.core.model import Request, Sampling
from ponder.core.task import Message
from ponder.models.openai import OpenAI

CALLS = 64
LATENCY = 0.02
REQUEST = Request(messages=(Message("user", PROMPT),), sampling=Sampling(max_tokens=32))


async def bare(session: aiohttp.ClientSession, url: str, streamed: bool) -> int:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(bare_call(session, url, index, streamed=streamed)) for index in range(CALLS)]
    return sum(task.result() for task in tasks)


async def ours(model: OpenAI, streamed: bool) -> int:
    async def one(index: int) -> int:
        done = await model.generate(REQUEST.sibling(index), Counting() if streamed else None)
        return done[0].usage.tokens

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(index)) for index in range(CALLS)]
    return sum(task.result() for task in tasks)


async def main(rounds: int) -> None:
    with running(LATENCY) as url:
        model = OpenAI.from_spec(f"{url}#stub", connections=CALLS)
        async with session(CALLS) as opened:
            ways: dict[str, Callable[[], Awaitable[int]]] = {
                "bare, plain": partial(bare, opened, url, False),
                "ours, plain": partial(ours, model, False),
                "bare, streamed": partial(bare, opened, url, True),
                "ours, streamed": partial(ours, model, True),
            }
            wall: dict[str, list[float]] = {name: [] for name in ways}
            cpu: dict[str, list[float]] = {name: [] for name in ways}
            tokens = 0
            for turn in range(rounds + 1):
                for name, run in ways.items():
                    start, used = time.perf_counter(), time.process_time()
                    tokens += await run()
                    if turn:  # the first opens the connections
                        wall[name].append(time.perf_counter() - start)
                        cpu[name].append(time.process_time() - used)
            await model.close()
        served = sum(counts(url)[kind] for kind in ("prompt", "completion"))
    print(f"{CALLS} calls, {LATENCY * 1000:.0f} ms latency, medians of {rounds} interleaved rounds")
    print(f"{'':16}{'wall ms':>9}{'x bare':>8}{'CPU ms a call':>15}")
    for name in ways:
        middle = statistics.median(wall[name])
        base = statistics.median(wall[name.replace("ours", "bare")])
        each = statistics.median(cpu[name]) / CALLS
        print(f"{name:16}{middle * 1000:9.1f}{middle / base:8.2f}{each * 1000:15.3f}")
    print(f"tokens reported {tokens}, served {served}, ratio {tokens / served:.4f}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
