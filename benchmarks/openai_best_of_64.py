"""Wall time and CPU of 64 samples over 64 connections: the `openai` back-end against a bare aiohttp loop.

One run prints the medians of interleaved rounds, plain and streamed (as the metered proxy asks for it): the bare loop
(post, read, json.loads of the reply or of each event), then ours, set against the bare loop of its own kind. The stub
answers after 20 ms in a process of its own. Goals: wall at most 1.3 x, at most 0.5 ms of CPU a call.
Run: python -m benchmarks.openai_best_of_64 [rounds]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp

from benchmarks.stub_server import counts, running
from ponder.core.model import Completion, Request, Sampling
from ponder.core.task import Message
from ponder.models.openai import OpenAI

CALLS = 64
LATENCY = 0.02
REQUEST = Request(messages=(Message("user", "What is 6 times 7?"),), sampling=Sampling(max_tokens=32))


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


async def bare(session: aiohttp.ClientSession, url: str, streamed: bool) -> int:
    async def one(index: int) -> int:
        body = {"model": "stub", "messages": [{"role": "user", "content": "What is 6 times 7?"}], "seed": index}
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

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(index)) for index in range(CALLS)]
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
        headers = {"Content-Type": "application/json"}
        async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=CALLS)) as session:
            ways: dict[str, Callable[[], Awaitable[int]]] = {
                "bare, plain": partial(bare, session, url, False),
                "ours, plain": partial(ours, model, False),
                "bare, streamed": partial(bare, session, url, True),
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
        served = counts(url)["tokens"]
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
