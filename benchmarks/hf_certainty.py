"""Cost of full-vocabulary certainty while sampling: time of a step (goal: under 1.03 x) and peak memory (1.1 x).

With and without certainty take turns in one process on the same seeds, so the same texts are sampled; the pass over
finished texts that others make is timed in the same turns. Peak memory is that of two fresh processes.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import ponder
from ponder.core.model import Request, Sampling
from ponder.core.task import Message

PROMPT = (Message("user", "Write a long story about a lighthouse."),)


async def seconds(work: Awaitable[Any]) -> float:
    start = time.perf_counter()
    await work
    return time.perf_counter() - start


async def second_pass(model: Any, request: Request, texts: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        for text in texts:
            group.create_task(model.score(request, text))


async def measure(options: argparse.Namespace) -> None:
    model: Any = ponder.load(options.model)
    times: dict[str, list[float]] = {"plain": [], "certainty": [], "second pass": []}
    texts: list[str] = []
    for seed in range(options.rounds):
        plain = Request(messages=PROMPT, n=options.n, seed=1000 * seed, sampling=Sampling(max_tokens=options.tokens))
        sure = replace(plain, certainty=True)
        texts = texts or [c.text for c in await model.generate(plain)]
        # Who goes first changes from round to round.
        for request in (plain, sure) if seed % 2 else (sure, plain):
            times["certainty" if request.certainty else "plain"].append(await seconds(model.generate(request)))
        times["second pass"].append(await seconds(second_pass(model, sure, texts)))
    base = statistics.median(times["plain"])
    # Of each round the ratio, so that a slow minute counts on both sides.
    ratio = statistics.median(b / a for a, b in zip(times["plain"], times["certainty"], strict=True))
    second = statistics.median(times["second pass"]) / base
    print(f"plain sampling takes {base:.2f} s; a second pass over the texts would add {second:.0%}")
    print(f"sampling with certainty: {ratio:.3f} x plain, limit 1.03")
    await model.close()


async def peak(options: argparse.Namespace) -> None:
    model: Any = ponder.load(options.model)
    law = Sampling(max_tokens=options.long, temperature=1.5, top_p=1.0)  # hot enough that few texts end early
    await model.generate(Request(messages=PROMPT, n=options.n, sampling=law, certainty=options.peak == "certainty"))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    await model.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="hf:smollm2")
    parser.add_argument("-n", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=16, help="tokens of one answer in the timing")
    parser.add_argument("--long", type=int, default=256, help="tokens of one answer in the memory run")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peak", choices=["plain", "certainty"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        asyncio.run(peak(options))
        return
    asyncio.run(measure(options))
    command = [sys.executable, __file__, "--model", options.model, "-n", str(options.n), "--long", str(options.long)]
    runs = {
        kind: float(subprocess.run([*command, "--peak", kind], check=True, capture_output=True, text=True).stdout)
        for kind in ("plain", "certainty")
    }
    print(
        f"peak memory {runs['plain']:.0f} MB plain; with certainty {runs['certainty'] / runs['plain']:.3f} x, limit 1.1"
    )


if __name__ == "__main__":
    main()
