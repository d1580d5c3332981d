"""Memory of large runs: 10,000 samples with full traces of 500 characters.

Each size runs in a fresh process. Prints one figure: the slope of the resident set over the number of candidates.
Limit: 40 KB a candidate.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys

SIZES = (2_500, 5_000, 10_000)


def peak(n: int) -> int:
    from ponder import Sampling, ScriptedModel, Task, solve

    text = "word " * 100

    async def run() -> None:
        result = await solve(
            Task.of("Write.", answer="exact"),
            model=ScriptedModel(replies=[f"{text}{k}" for k in range(97)], latency=0.001),
            method="self_consistency",
            sampling=Sampling(max_tokens=1000),
            n=n,
            early_stop="none",
        )
        assert len(result.candidates) == n

    asyncio.run(run())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    sizes = [
        int(subprocess.run([sys.executable, __file__, str(n)], capture_output=True, text=True, check=True).stdout)
        for n in SIZES
    ]
    for n, size in zip(SIZES, sizes, strict=True):
        print(f"{n:6d} candidates: {size / 1024:.0f} MB at the peak")
    print(f"slope: {(sizes[-1] - sizes[0]) / (SIZES[-1] - SIZES[0]):.1f} KB a candidate (limit 40)")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(peak(int(sys.argv[1])))
    else:
        main()
