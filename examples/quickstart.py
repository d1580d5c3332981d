"""Three ways to spend a budget on one question, offline, with the embedded model.

Run: python examples/quickstart.py [MODEL]      (first: ponder models get smollm2)
"""

from __future__ import annotations

import asyncio
import sys

from ponder import Sampling, Store, Task, load, solve

TASK = Task.of(
    "A box holds 6 pens. How many pens are in 7 boxes? Reply with just the number.",
    answer="number",
)


async def main(spec: str) -> None:
    model, store = load(spec), Store()
    try:
        for method, options in (
            ("greedy", {}),
            ("self_consistency", {"n": 16}),
            ("best_of_n", {"n": 16, "verifier": "arithmetic"}),
        ):
            result = await solve(
                TASK,
                model=model,
                method=method,
                sampling=Sampling(max_tokens=40),
                budget="tokens=4000,seconds=60",
                store=store,  # the methods share samples: each is paid for once
                seed=1,
                **options,
            )
            cost = result.cost
            print(f"{method:17} answer {result.answer}   {cost.calls} calls, {cost.tokens} tokens, {result.stopped}")
    finally:
        await model.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "llamacpp:smollm2"))
