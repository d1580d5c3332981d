"""The embedded model by llama.cpp and by transformers at N = 1, 4, 16, 64 siblings: tokens a second.

Each back-end runs in a process of its own, in turns: in one process the idle threads of the one slow the other down.
Prints for each N the ratio hf / llamacpp; `load("smollm2", n=N)` is to choose the faster one, and what it chooses is
printed beside.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time

from ponder import Message, Model, Request, Sampling, load
from ponder.models.embedded import choose

PROMPT = (Message("user", "Write a story about a lighthouse. It may be one sentence or several paragraphs."),)
SIZES = (1, 4, 16, 64)
ROUNDS = 2


async def rate(model: Model, n: int) -> float:
    request = Request(messages=PROMPT, n=n, sampling=Sampling(max_tokens=96))
    start = time.perf_counter()
    done = await model.generate(request)
    return sum(c.usage.completion_tokens for c in done) / (time.perf_counter() - start)


async def rates(spec: str) -> list[float]:
    model = load(spec)
    await rate(model, 2)  # warm
    found = [await rate(model, n) for n in SIZES]
    await model.close()
    return found


def main() -> None:
    seen: dict[str, list[list[float]]] = {"llamacpp": [], "hf": []}
    for _ in range(ROUNDS):
        for name, rounds in seen.items():
            ran = subprocess.run(
                [sys.executable, __file__, f"{name}:smollm2"], stdout=subprocess.PIPE, text=True, check=True
            )
            rounds.append(json.loads(ran.stdout))
    for at, n in enumerate(SIZES):
        llamacpp, hf = (statistics.median(found[at] for found in rounds) for rounds in seen.values())
        print(
            f"N = {n:2d}: llamacpp {llamacpp:6.1f} tokens/s, hf {hf:6.1f} tokens/s, ratio {hf / llamacpp:.2f};"
            f" load() chooses {choose(n)}"
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(rates(sys.argv[1]))))
    else:
        main()
