"""Prompt tokens that a step search really reads, over the distinct tokens of its tree, by back-end.

Beam search under a checker that makes no calls; steps of 12 tokens, so that there are always several. The tree's
distinct tokens are the prompt once and every step once. Goal: at most 1.2 on transformers; llama.cpp and no reuse at
all (every call reads its whole prefix) are printed beside.
"""

from __future__ import annotations

import asyncio
import sys

from ponder import Sampling, Task, Trace, load, solve
from ponder.core.result import total

TASK = Task.of("Write a short story about a lighthouse keeper who has 3 boats and 4 lamps.", answer="exact")
BACKENDS = ("hf:smollm2", "llamacpp:smollm2")


async def measure(spec: str) -> None:
    model, trace = load(spec), Trace()
    result = await solve(
        TASK,
        model=model,
        method="beam_search",
        verifier="arithmetic",
        sampling=Sampling(max_tokens=72),
        n=8,
        branch=4,
        delimiter="",
        step_tokens=12,
        trace=trace,
    )
    await model.close()
    calls = [e.data for e in trace.events if e.kind == "call" and e.phase == "close" and "paid" in e.data]
    opened = [e.data for e in trace.events if e.kind == "call" and e.phase == "open"]
    read = sum(call["paid"]["prompt_tokens"] - call["paid"]["cached_tokens"] for call in calls)
    root = min(call["prompt_tokens"] for call in opened)
    distinct = root + sum(call["usage"]["completion_tokens"] for call in calls)
    print(
        f"{spec}: {len(calls)} steps, {distinct} distinct tokens; read {read} prompt tokens,"
        f" ratio {read / distinct:.2f} (no reuse: {total(result.usage).prompt_tokens / distinct:.2f})"
    )


if __name__ == "__main__":
    for name in sys.argv[1:] or BACKENDS:
        asyncio.run(measure(name))
