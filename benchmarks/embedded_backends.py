"""The embedded model by llama.cpp and by transformers at N = 1, 4, 16, 64 siblings: tokens a second, in turns.

Prints for each N the ratio hf / llamacpp; `load("smollm2", n=N)` is to choose the faster one, and what it chooses is
printed beside.
"""

from __future__ import annotations

import asyncio
import statistics
import time

from ponder import Message, Model, Request, Sampling, load
from ponder.models.embedded import choose

PROMPT = (Message("user", "Write a story about a lighthouse. It may be one sentence or several paragraphs."),)
ROUNDS = 3


async def rate(model: Model, n: int, seed: int) -> float:
    request = Request(messages=PROMPT, n=n, seed=seed, sampling=Sampling(max_tokens=96))
    start = time.perf_counter()
    done = await model.generate(request)
    return sum(c.usage.completion_tokens for c in done) / (time.perf_counter() - start)


async def main() -> None:
    ways = {"llamacpp": load("llamacpp:smollm2"), "hf": load("hf:smollm2")}
    for name, model in ways.items():
        await rate(model, 2, 0)  # warm
        print(f"{name}: {model.info.parameters or 0:,} parameters")
    for n in (1, 4, 16, 64):
        seen: dict[str, list[float]] = {name: [] for name in ways}
        for seed in range(ROUNDS):
            for name, model in ways.items():
                seen[name].append(await rate(model, n, 1000 * seed))
        median = {name: statistics.median(values) for name, values in seen.items()}
        print(
            f"N = {n:2d}: llamacpp {median['llamacpp']:6.1f} tokens/s, hf {median['hf']:6.1f} tokens/s,"
            f" ratio {median['hf'] / median['llamacpp']:.2f}; load() chooses {choose(n)}"
        )
    for model in ways.values():
        await model.close()


if __name__ == "__main__":
    asyncio.run(main())
