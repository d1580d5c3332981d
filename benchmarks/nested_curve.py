"""What a scaling curve costs: N = 1..64 in separate, shuffled processes that share a response store.

Prints one ratio for each kind of budget: tokens paid by all points over tokens paid by N = 64 alone. Goal: 1.00.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import tempfile
from pathlib import Path

POINTS = (1, 2, 4, 8, 16, 32, 64)


def paid(store: str, n: int, budget: str) -> int:
    from ponder import Sampling, ScriptedModel, Task, solve

    words = random.Random(0)
    replies = [" ".join(["so"] * words.randint(1, 30) + [str(words.randint(1, 5))]) for _ in range(200)]

    async def run() -> int:
        result = await solve(
            Task.of("Name a number.", answer="number"),
            model=ScriptedModel(replies=replies, latency=(0.0, 0.01)),
            method="self_consistency",
            sampling=Sampling(max_tokens=40),
            n=n,
            early_stop="none",
            store=store,
            budget=budget.format(n=n) or None,
        )
        return result.paid["policy"].tokens

    return asyncio.run(run())


def total(points: tuple[int, ...], budget: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store.sqlite")
        return sum(
            int(
                subprocess.run(
                    [sys.executable, __file__, store, str(n), budget], capture_output=True, text=True, check=True
                ).stdout
            )
            for n in points
        )


def main() -> None:
    shuffled = list(POINTS)
    random.Random(1).shuffle(shuffled)
    for label, budget in (
        ("no budget", ""),
        ("a fixed token budget", "tokens=600"),
        ("completion tokens", "completion_tokens=400"),
    ):
        whole, largest = total(tuple(shuffled), budget), total((64,), budget)
        print(f"{label}: order {shuffled}, paid {whole} tokens, N = 64 alone {largest}, ratio {whole / largest:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(paid(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
    else:
        main()
