"""What the bench runner costs: rows a second without a model's time, its share of an embedded model's, a resume.

    python benchmarks/bench_runner.py [--embedded]

Prints rows and candidates a second apart against a scripted model that takes no time (goal: 3,000 lines a second
together); the seconds until a killed job of that size goes on, and what it pays again (goals: under 2 s, and nothing);
and with --embedded the time of a job on the embedded model beside that of its generation alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

COUNT, SIZES = 400, (1, 2, 4, 8, 16)


def made(spec: str, count: int, sizes: tuple[int, ...]) -> Any:
    from ponder.bench.job import Grid, Job
    from ponder.core.model import Sampling

    return Job(
        models=(spec,),
        methods=(
            Grid(method="self_consistency", settings={"n": sizes, "early_stop": ("none",)}),
            Grid(method="best_of_n", settings={"n": sizes}, verifier="arithmetic"),
        ),
        tasks=("multiplication_stories",),
        count=count,
        sampling=Sampling(temperature=0.8, max_tokens=40),
    )


def scripted(spec: str) -> Any:
    from ponder import ScriptedModel

    return ScriptedModel(replies=[f"{a} x {b} = {a * b}" for a in range(3, 13) for b in range(11, 31)])


def run(folder: Path, count: int = COUNT) -> Any:
    from ponder.bench.runner import run_job

    return asyncio.run(run_job(made("scripted:stories", count, SIZES), folder, opener=scripted))


def lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def throughput(folder: Path) -> None:
    run(folder / "warm", 5)
    pace = []
    for turn in range(3):
        there = folder / f"run{turn}"
        start = time.perf_counter()
        done = run(there)
        seconds = time.perf_counter() - start
        candidates = lines(there / "candidates.jsonl")
        pace.append((done.done / seconds, candidates / seconds, (done.done + candidates) / seconds))
    rows, answers, both = (statistics.median(column) for column in zip(*pace, strict=True))
    print(f"scripted, 0 ms: {rows:,.0f} rows/s and {answers:,.0f} candidates/s, {both:,.0f} lines/s (median of 3)")


def resume(folder: Path) -> None:
    there = folder / "killed"
    process = subprocess.Popen([sys.executable, __file__, "--run", str(there)])
    while lines(there / "rows.jsonl") < COUNT * 2 * len(SIZES) * 0.8:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()

    from ponder.bench.runner import run_job
    from ponder.core.result import total
    from ponder.core.store import Store

    store = Store(there / "store.sqlite")
    stored = len(store)
    store.close()
    first: list[float] = []
    start = time.perf_counter()
    done = asyncio.run(
        run_job(
            made("scripted:stories", COUNT, SIZES),
            there,
            opener=scripted,
            tell=lambda status: first.append(time.perf_counter() - start) if status.done > status.before else None,
        )
    )
    calls = total(done.paid).calls
    repeated = calls + stored - COUNT * max(SIZES)
    print(
        f"killed with {done.before:,} rows: the next row came after {first[0]:.2f} s; {repeated} calls paid again,"
        f" {done.done:,} of {done.total:,} rows at the end"
    )


def embedded(folder: Path) -> None:
    from ponder import load
    from ponder.bench.runner import run_job
    from ponder.core.access import Access
    from ponder.core.model import Request
    from ponder.core.seeds import sample_seed
    from ponder.core.tasks import gather_all

    spec, sizes, count = "llamacpp:smollm2", (1, 2, 4, 8), 6
    job = made(spec, count, sizes)
    problems = job.problems()

    warm = Request(messages=problems[0].problem.task.messages, sampling=job.sampling)

    async def alone() -> float:
        model = load(spec)
        await model.generate(warm)
        start = time.perf_counter()
        for named in problems:
            task = named.problem.task
            seed = sample_seed(0, 0, "sample", task.id)
            certain = Access.LOGITS in model.access
            whole = Request(messages=task.messages, sampling=job.sampling, seed=seed, n=max(sizes), certainty=certain)
            together = Access.N in model.access  # as a run sends them
            asked = [whole] if together else [whole.sibling(k) for k in range(max(sizes))]
            await gather_all([partial(model.generate, request) for request in asked])
        seconds = time.perf_counter() - start
        await model.close()
        return seconds

    async def whole(turn: int) -> float:
        model = load(spec)
        await model.generate(warm)
        start = time.perf_counter()
        await run_job(job, folder / f"embedded{turn}", opener=lambda _: model, problems=problems, concurrency=1)
        return time.perf_counter() - start

    times = [(asyncio.run(alone()), asyncio.run(whole(turn))) for turn in range(3)]  # in turn: the machine drifts
    bare, full = (min(column) for column in zip(*times, strict=True))
    print(f"embedded: {full:.2f} s for the job, {bare:.2f} s for its samples alone: {full / bare - 1:+.1%} (best of 3)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embedded", action="store_true", help="measure the embedded model too")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run is not None:
        run(given.run)
        return
    print(f"{os.cpu_count()} CPUs; {COUNT} problems, two methods at n = {', '.join(map(str, SIZES))}")
    with tempfile.TemporaryDirectory() as folder:
        throughput(Path(folder))
        resume(Path(folder))
        if given.embedded:
            embedded(Path(folder))


if __name__ == "__main__":
    main()
