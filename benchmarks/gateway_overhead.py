"""CPU of a request in ponder's gateway, optillm's and its-hub's: handed through, best of 8, and votes over 8 samples.

The stub answers after 20 ms in a process of its own, each gateway runs in another, and the load comes from this one
over
64 connections; rounds are interleaved and every server is warmed up. CPU is what the operating system counts for the
gateway's process. The stub's own counts say how many calls a request made, so peers are compared at equal calls: by
CPU for each completion that the stub served (optillm's self-consistency always draws five; its-hub's gateway has no
best-of-n; optillm's best-of-n asks for its eight samples in one call, and so does ponder where the server's kind is
said to be vllm). "direct" is the stub itself. Seconds mean something on a quiet machine only; CPU does anywhere.
Limits: 1.5 ms a request handed through and 1/8 of optillm's; 1/5 of a peer's for methods.
Run: python -m benchmarks.gateway_overhead [requests a round] [rounds]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, NamedTuple

from benchmarks.gateway_load import Served, cpu_seconds, gateway, its_hub, keep_busy, optillm, upstream_toml
from benchmarks.peers import python_of
from benchmarks.stub_server import counts, running

CONNECTIONS, LATENCY, LIMIT_MS = 64, 0.02, 1.5
VOTE = {"method": "self_consistency", "params": {"n": 8, "early_stop": "none"}}
BEST = {"method": "best_of_n", "verifier": "judge", "params": {"n": 8}}


class Job(NamedTuple):
    """One row: who, what to send, completions a request is declared to make (None: not ours to say), its share."""

    who: str
    body: dict[str, Any]
    declared: int | None = None
    share: float = 1.0  # of the requests of a round


CASES: dict[str, tuple[float | None, list[Job]]] = {
    "pass-through": (
        1 / 8,
        [
            Job("direct", {"model": "stub"}),
            Job("ponder", {"model": "single@m"}, 1),
            Job("ponder, streamed", {"model": "single@m", "stream": True}, 1),
            Job("optillm", {"model": "none-stub"}, None, 0.1),
            Job("its-hub", {"model": "stub", "budget": 1}, None, 0.2),
        ],
    ),
    "self-consistency": (
        1 / 5,
        [
            Job("ponder", {"model": "m", "ponder": VOTE}, 8, 0.2),
            Job("ponder, n=8", {"model": "v", "ponder": VOTE}, 8, 0.2),
            Job("optillm", {"model": "self_consistency-stub"}, None, 0.05),
            Job("its-hub", {"model": "stub", "budget": 8}, None, 0.1),
        ],
    ),
    "best of 8, judged": (
        1 / 5,
        [
            Job("ponder", {"model": "m", "ponder": BEST}, 16, 0.1),
            Job("ponder, n=8", {"model": "v", "ponder": BEST}, 16, 0.1),
            Job("optillm", {"model": "bon-stub"}, None, 0.05),
        ],
    ),
}


class Row:
    """What a job has used."""

    def __init__(self) -> None:
        self.requests = self.calls = self.choices = 0
        self.seconds = self.cpu = 0.0

    def measure(self, served: Served, upstream: str, job: Job, requests: int) -> None:
        """Load a server once and add what it used."""
        before, used = counts(upstream), cpu_seconds(served.pid)
        headers = {"authorization": "Bearer none"}
        self.seconds += asyncio.run(keep_busy(served.url, job.body, requests, connections=CONNECTIONS, headers=headers))
        self.cpu += cpu_seconds(served.pid) - used
        after = counts(upstream)
        self.requests += requests
        self.calls += after["calls"] - before["calls"]
        self.choices += after["choices"] - before["choices"]

    @property
    def each(self) -> float:
        """CPU for each completion, in ms."""
        return 1000 * self.cpu / max(1, self.choices)


def main(requests: int, rounds: int) -> None:
    with running(LATENCY) as upstream, ExitStack() as stack:
        settings = upstream_toml(upstream) + upstream_toml(upstream, "v", kind="vllm") + '[roles]\njudge = "m"\n'
        settings += "[admission]\nmax_running = 1024\n"
        servers = {"direct": _direct(upstream), "ponder": stack.enter_context(gateway(settings))}
        starts: dict[str, Callable[[str, str], AbstractContextManager[Served]]] = {
            "optillm": optillm,
            "its-hub": its_hub,
        }
        for name, start in starts.items():
            try:
                servers[name] = stack.enter_context(start(python_of(name), upstream))
            except (RuntimeError, OSError) as err:
                print(f"{name} absent: {err}")
        for case, (goal, jobs) in CASES.items():
            present = [job for job in jobs if job.who.partition(",")[0] in servers]
            rows = {job.who: Row() for job in present}
            for turn in range(rounds + 1):
                for job in present:
                    served = servers[job.who.partition(",")[0]]
                    size = max(10, round(requests * job.share))
                    (rows[job.who] if turn else Row()).measure(served, upstream, job, size if turn else 10)
            _print(case, goal, present, rows)


def _direct(upstream: str) -> Served:
    """Return the stub as a server: its process is the child of this one that listens there."""
    import subprocess

    port = upstream.rpartition(":")[2].partition("/")[0]
    listening = subprocess.run(["ss", "-ltnpH", f"sport = :{port}"], capture_output=True, text=True).stdout
    pid = int(listening.partition("pid=")[2].partition(",")[0] or 0)
    return Served(upstream.removesuffix("/v1"), pid)


def _print(case: str, goal: float | None, jobs: list[Job], rows: dict[str, Row]) -> None:
    print(f"\n{case}")
    print(f"{'':18}{'requests/s':>11}{'CPU ms':>9}{'calls':>7}{'answers':>9}{'CPU ms an answer':>18}")
    for job in jobs:
        row = rows[job.who]
        n = row.requests
        print(
            f"{job.who:18}{n / row.seconds:11.1f}{1000 * row.cpu / n:9.2f}{row.calls / n:7.2f}"
            f"{row.choices / n:9.2f}{row.each:18.3f}"
        )
        if job.declared is not None and row.choices != job.declared * n:
            print(f"{'':18}DECLARED {job.declared * n} answers, the upstream saw {row.choices}")
    if case == "pass-through":
        spent = rows["ponder"].each
        print(f"ponder: {spent:.2f} ms, {spent / LIMIT_MS:.2f} of the limit of {LIMIT_MS} ms")
    for name in ("optillm", "its-hub"):
        if name in rows and goal is not None:
            ours = rows[
                "ponder, n=8" if name == "optillm" and "ponder, n=8" in rows and case.startswith("best") else "ponder"
            ]
            ratio = ours.each / rows[name].each
            print(f"ponder / {name}: 1/{1 / ratio:.1f} at equal answers (goal 1/{1 / goal:.0f})")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    main(*(numbers + [2_000, 3][len(numbers) :])[:2])
