"""Memory of the gateway under half of its load for a long time: the slope, which should be none.

Counters and traces are on, in files, as a service would have them; requests are handed through, with a vote among every
ten. Memory is read each second; the slope is the least-squares line over the second half, when caches and pools
are full. Limit: 1 MB a minute there. Run: python -m benchmarks.gateway_soak [seconds]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import linear_regression

from benchmarks.gateway_load import gateway, keep_busy, resident_mb, send_at, upstream_toml
from benchmarks.stub_server import running

LATENCY, LIMIT = 0.02, 1.0
VOTE = {"method": "self_consistency", "params": {"n": 4}}


async def soak(url: str, pid: int, rate: float, seconds: float) -> tuple[int, list[tuple[float, float]]]:
    """Return how many requests were answered, and (seconds, MB) along the way."""
    memory: list[tuple[float, float]] = []
    start = time.perf_counter()

    async def watch() -> None:
        while time.perf_counter() - start < seconds:
            memory.append((time.perf_counter() - start, resident_mb(pid)))
            await asyncio.sleep(1.0)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        plain = group.create_task(send_at(url, {"model": "single@m"}, rate=rate * 0.9, seconds=seconds, seed=1))
        vote = {"model": "m", "ponder": VOTE}
        votes = group.create_task(send_at(url, vote, rate=rate * 0.1, seconds=seconds, seed=2))
    return len(plain.result()) + len(votes.result()), memory


def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder, running(LATENCY) as upstream:
        counters, traces = Path(folder) / "counters.sqlite", Path(folder) / "traces.sqlite"
        more = f'[counters]\nurl = "{counters}"\n[traces]\nfile = "{traces}"\n'
        more += "rows = 2000\n[limits]\ntokens_per_day = 1_000_000_000\n[request.budget]\ntokens = 20_000\n"
        with gateway(upstream_toml(upstream) + more) as served:
            body = {"model": "single@m"}
            asyncio.run(keep_busy(served.url, body, 300, connections=64))
            rate = 1000 / asyncio.run(keep_busy(served.url, body, 1000, connections=64)) / 2
            answered, memory = asyncio.run(soak(served.url, served.pid, rate / 1.3, seconds))  # a vote costs more
    half = memory[len(memory) // 2 :]
    slope = 60 * linear_regression([at for at, _ in half], [mb for _, mb in half]).slope
    marks = ", ".join(f"{mb:.1f}" for _, mb in memory[:: max(1, len(memory) // 10)])
    print(f"{answered} requests in {seconds:g} s, all answered; memory in MB: {marks}")
    print(f"slope {slope:+.2f} MB a minute over the second half, {slope / LIMIT:+.2f} of the limit of {LIMIT:g}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0)
