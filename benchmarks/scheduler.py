"""Best-of-64 against a model that sleeps 20 ms: wall time over the sleep, and CPU time a sample.

Prints one ratio: the median wall time of `solve` over that of 64 bare sleeps, interleaved in one process.
Limit: 1.3, and 1 ms of CPU a sample.
"""

from __future__ import annotations

import asyncio
import statistics
import time

from ponder import Access, ScriptedModel, Task, solve

SLEEP, SAMPLES, ROUNDS = 0.020, 64, 15
TASK = Task.of("Name a number.", answer="number")


async def bare() -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(SAMPLES):
            group.create_task(asyncio.sleep(SLEEP))


async def ours() -> None:
    model = ScriptedModel(replies=["1", "2"], latency=SLEEP, access=frozenset(Access) - {Access.N})
    result = await solve(TASK, model=model, method="best_of_n", verifier="arithmetic", n=SAMPLES)
    assert result.cost.calls == SAMPLES


async def measure() -> None:
    await ours()  # imports and caches
    walls: dict[str, list[float]] = {"bare": [], "ours": []}
    cpu = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        await bare()
        walls["bare"].append(time.perf_counter() - start)
        start, busy = time.perf_counter(), time.process_time()
        await ours()
        walls["ours"].append(time.perf_counter() - start)
        cpu.append((time.process_time() - busy) / SAMPLES)
    low, high = statistics.median(walls["bare"]), statistics.median(walls["ours"])
    print(f"64 sleeps of 20 ms: {low * 1e3:.1f} ms; best-of-64: {high * 1e3:.1f} ms")
    print(f"CPU a sample: {statistics.median(cpu) * 1e3:.3f} ms (limit 1 ms)")
    print(f"ratio of wall to the sleep: {high / SLEEP:.3f} (limit 1.3)")


if __name__ == "__main__":
    asyncio.run(measure())
