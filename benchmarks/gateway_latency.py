"""Latency that the gateway adds at half of its saturation, for an open load of pass-through requests.

First the gateway is saturated over 64 connections; then requests are sent at half of that rate (Poisson arrivals), in
turns to the stub itself and through the gateway, and latencies count from the moment at which a request was due. The
figures mean something on a quiet machine only: gateway, stub and load share its cores.
Limits: p50 3 ms and p99 15 ms more than the stub alone. Run: python -m benchmarks.gateway_latency [seconds a turn]
[turns]
"""

from __future__ import annotations

import asyncio
import os
import sys

from benchmarks.gateway_load import gateway, keep_busy, percentile, send_at, upstream_toml
from benchmarks.stub_server import running

CONNECTIONS, LATENCY = 64, 0.02
LIMITS = {0.5: 3.0, 0.99: 15.0}


def main(seconds: float, turns: int) -> None:
    with running(LATENCY) as upstream, gateway(upstream_toml(upstream)) as served:
        body = {"model": "single@m"}
        asyncio.run(keep_busy(served.url, body, 300, connections=CONNECTIONS))
        requests = 2000
        saturation = requests / asyncio.run(keep_busy(served.url, body, requests, connections=CONNECTIONS))
        rate = saturation / 2
        latencies: dict[str, list[float]] = {"direct": [], "ponder": []}
        for turn in range(turns):
            for who, url in (("direct", upstream.removesuffix("/v1")), ("ponder", served.url)):
                latencies[who] += asyncio.run(send_at(url, body, rate=rate, seconds=seconds, seed=turn))
    print(f"saturation {saturation:.0f} requests/s, open load {rate:.0f}/s; load average {os.getloadavg()[0]:.1f}")
    for who, values in latencies.items():
        told = ", ".join(f"p{100 * share:g} {percentile(values, share):.1f} ms" for share in (0.5, 0.9, 0.99))
        print(f"{who:8} {len(values)} requests: {told}")
    for share, limit in LIMITS.items():
        added = percentile(latencies["ponder"], share) - percentile(latencies["direct"], share)
        print(f"added at p{100 * share:g}: {added:.1f} ms, {added / limit:.2f} of the limit of {limit:g} ms")


if __name__ == "__main__":
    numbers = [float(word) for word in sys.argv[1:]]
    main(numbers[0] if numbers else 10.0, int(numbers[1]) if len(numbers) > 1 else 3)
