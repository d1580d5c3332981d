"""Faults of every kind through the gateway at once, and whether each request is accounted for.

Requests say in their text what the upstream shall do to them (drop, reset in the middle, garbage, JSON of another
shape,
status 500); meanwhile the upstream's process is killed and started again every few seconds. Clients misbehave too:
malformed JSON, bodies that crawl in byte by byte and stop (slow loris), and one in twenty hangs up at a random moment.
At the end: how each request ended by kind, none hung, the gateway's own counts against the clients', and the account's
file, in which nothing may be left reserved and the tokens spent must be those that the metrics tell.
Run: python -m benchmarks.gateway_faults [requests]
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from benchmarks.gateway_load import CHAT, gateway, upstream_toml
from benchmarks.gateway_upstream import Upstream

LATENCY, CONNECTIONS, KILL_EVERY, TOO_LONG = 0.02, 64, 3.0, 90.0
SHARES = {
    "ok": 0.55,
    "drop": 0.05,
    "reset": 0.10,
    "garbage": 0.05,
    "odd": 0.05,
    "error": 0.05,
    "bad json": 0.08,
    "slow loris": 0.02,
    "hang up": 0.05,
}


class Tally:
    """How requests ended, as their clients saw it."""

    def __init__(self, url: str) -> None:
        self.url, self.ends = url, Counter[tuple[str, str]]()
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=TOO_LONG)
        )

    async def send(self, kind: str, rng: random.Random) -> None:
        """Send one request and note how it ended."""
        try:
            end = await (self._crawl(rng) if kind == "slow loris" else self._ask(kind, rng))
        except TimeoutError:
            end = "HUNG"
        except (aiohttp.ClientError, OSError) as err:
            end = type(err).__name__
        self.ends[kind, end] += 1

    async def _ask(self, kind: str, rng: random.Random) -> str:
        stream = rng.random() < 0.5
        word = {"hang up": "ok", "bad json": "ok"}.get(kind, kind)
        method = "single@m" if rng.random() < 0.7 else "self_consistency@m"
        body = {"model": method, "stream": stream, "messages": [{"role": "user", "content": f"{word} please"}]}
        if method.startswith("self"):
            body["ponder"] = {"params": {"n": 3}}
        data = json.dumps(body).encode()
        if kind == "bad json":
            data = rng.choice([data[: len(data) // 2], b"\xff" + data, b"[" * 100_000, b"", b'{"model": NaN}'])
        asking = self._read(data)
        if kind != "hang up":
            return await asking
        try:
            async with asyncio.timeout(rng.uniform(0.0, 0.06)):
                return await asking
        except TimeoutError:
            return "hung up"

    async def _read(self, data: bytes) -> str:
        headers = {"content-type": "application/json"}
        async with self.session.post(self.url + CHAT, data=data, headers=headers) as reply:
            text = await reply.read()
        if reply.content_type != "text/event-stream":
            json.loads(text)
            return str(reply.status)
        if b'"error"' in text:
            return "200, error in stream"
        return "200" if text.endswith(b"data: [DONE]\n\n") else "200, CUT"

    async def _crawl(self, rng: random.Random) -> str:
        address = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            lines = (f"POST {CHAT} HTTP/1.1", f"Host: {address.netloc}", "Content-Type: application/json")
            head = "\r\n".join([*lines, "Content-Length: 500", "", ""])
            writer.write(head.encode()[: rng.choice([20, 1000])])
            for _ in range(8):
                writer.write(b"x")
                await asyncio.sleep(rng.uniform(0.05, 0.3))
            if rng.random() < 0.7:
                return "gave up"
            async with asyncio.timeout(60.0):  # a body is answered with 408, a head cut off
                first = await reader.read(100)
            return first.split()[1].decode() if first else "closed"
        except TimeoutError:
            return "head left open"
        finally:
            writer.close()


async def storm(url: str, upstream: Upstream, requests: int) -> tuple[Counter[tuple[str, str]], int]:
    """Send all; return how they ended, and how often the upstream was killed."""
    rng = random.Random(0)
    kinds = rng.choices(list(SHARES), list(SHARES.values()), k=requests)
    tally, kills = Tally(url), 0

    done = asyncio.Event()

    async def kill() -> None:
        nonlocal kills
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), KILL_EVERY)
                return
            upstream.kill()
            await asyncio.sleep(0.3)
            await asyncio.to_thread(upstream.start)
            kills += 1

    async def work() -> None:
        while kinds:
            await tally.send(kinds.pop(), rng)

    async with tally.session, asyncio.TaskGroup() as group:
        group.create_task(kill())
        async with asyncio.TaskGroup() as workers:
            for _ in range(CONNECTIONS):
                workers.create_task(work())
        done.set()
    return tally.ends, kills


def told_by(metrics: str, name: str, label: str) -> Counter[str]:
    """Return the values of a metric, summed by one label."""
    out: Counter[str] = Counter()
    for labels, value in re.findall(rf"^{name}\{{(.*)\}} (\S+)$", metrics, re.MULTILINE):
        out[dict(re.findall(r'(\w+)="([^"]*)"', labels))[label]] += int(float(value))
    return out


def main(requests: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Upstream(LATENCY) as upstream:
        file = Path(folder) / "counters.sqlite"
        more = (
            f'[counters]\nurl = "{file}"\n[limits]\ntokens_per_day = 1_000_000_000\n[request.budget]\ntokens = 20_000\n'
        )
        with gateway(upstream_toml(upstream.url) + more) as served:
            start = time.perf_counter()
            ends, kills = asyncio.run(storm(served.url, upstream, requests))
            seconds = time.perf_counter() - start
            running = -1
            for _ in range(100):  # those that hung up last end a moment later
                metrics = urllib.request.urlopen(f"{served.url}/metrics", timeout=10).read().decode()
                running = int(float(re.findall(r"^ponder_running (\S+)$", metrics, re.MULTILINE)[0]))
                if not running:
                    break
                time.sleep(0.1)
        with sqlite3.connect(file) as db:
            left = db.execute("SELECT count(*) FROM reservations").fetchone()[0]
            spent = db.execute(
                "SELECT sum(spent), sum(reserved) FROM counters WHERE name LIKE 'everyone|tokens|____-__-__'"
            ).fetchone()
    _report(requests, ends, kills, seconds, metrics, running, left, spent)


def _report(
    requests: int,
    ends: Counter[tuple[str, str]],
    kills: int,
    seconds: float,
    metrics: str,
    running: int,
    left: int,
    spent: tuple[int, int],
) -> None:
    print(f"{requests} requests in {seconds:.0f} s, the upstream killed {kills} times")
    for kind in SHARES:
        told = ", ".join(f"{end}: {n}" for (k, end), n in sorted(ends.items()) if k == kind)
        print(f"  {kind:11} {told}")
    statuses = told_by(metrics, "ponder_requests_total", "status")
    tokens = sum(told_by(metrics, "ponder_tokens_total", "kind").values())
    asked = sum(n for (kind, _), n in ends.items() if kind not in ("bad json", "slow loris"))
    gone = sum(n for (kind, end), n in ends.items() if kind == "hang up" and end == "hung up")
    print(
        f"clients asked {asked} times and {gone} of them hung up; the gateway ran {sum(statuses.values())}:"
        f" {dict(statuses)}"
    )
    print(f"tokens: metrics {tokens}, account {spent[0]}; reserved {spent[1]}, {left} reservations open")
    faults = {
        "hung": sum(n for (_, end), n in ends.items() if end == "HUNG"),
        "not ended": requests - sum(ends.values()),
        "still running": running,
        "not accounted for": max(0, asked - gone - sum(statuses.values())),
        "too many": max(0, sum(statuses.values()) - asked),
        "left reserved": left + spent[1],
        "tokens that differ": abs(tokens - spent[0]),
        "status 500": statuses["500"] + sum(n for (_, end), n in ends.items() if end == "500"),
    }
    print(
        "FAULTS: " + ", ".join(f"{n} {what}" for what, n in faults.items() if n)
        if any(faults.values())
        else "all accounted for"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
