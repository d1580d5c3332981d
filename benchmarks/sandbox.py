"""Short generated programs in the sandbox against a bare interpreter, interleaved in one process.

Prints one ratio: the median time of a sandboxed program over that of `python -I -S -c` as a bare subprocess, one after
the other; and how many programs a second run when many are asked for at once.
Limits: 15 ms for the median program, and 60 programs a second for each core, both with bubblewrap.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from functools import partial

from ponder.core.tasks import gather_all
from ponder.verifiers.sandbox import run

PROGRAM = "print(sum(range(100)))"
ROUNDS, ALONE, TOGETHER = 8, 10, 50
INTERPRETER = os.path.realpath(sys.executable)


async def bare() -> None:
    process = await asyncio.create_subprocess_exec(
        INTERPRETER, "-I", "-S", "-c", PROGRAM, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out == b"4950\n"


async def ours() -> None:
    outcome = await run(PROGRAM)
    assert outcome.stdout == "4950\n", outcome


async def measure() -> None:
    cores = len(os.sched_getaffinity(0))
    times: dict[str, list[float]] = {"bare": [], "ours": []}
    rates = []
    await ours()  # caches
    for _ in range(ROUNDS):
        for _ in range(ALONE):
            for name, call in (("bare", bare), ("ours", ours)):
                start = time.perf_counter()
                await call()
                times[name].append(time.perf_counter() - start)
        start = time.perf_counter()
        await gather_all([partial(ours) for _ in range(TOGETHER)])
        rates.append(TOGETHER / (time.perf_counter() - start))
    low, high = statistics.median(times["bare"]), statistics.median(times["ours"])
    print(f"bare interpreter: {low * 1e3:.1f} ms; in the sandbox: {high * 1e3:.1f} ms (limit 15 ms)")
    print(f"at once on {cores} cores: {statistics.median(rates):.0f} programs a second (limit {60 * cores})")
    print(f"ratio of a sandboxed program to a bare one: {high / low:.2f}")


if __name__ == "__main__":
    asyncio.run(measure())
