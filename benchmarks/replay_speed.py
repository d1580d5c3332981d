"""How fast recorded samples are chosen from: candidates per second through a vote, and a whole curve from a file.

A generated pool (answers already canonical) of 1,000 problems x 64 samples. Prints, from one run: candidates per second
through majority vote (goal 200,000) and Borda votes (goal 50,000), each at n = 64; the seconds (goal 20) and the peak
memory (goal 1 GB) of the 64-point curves with intervals of all selection methods, from the samples file on. What the
arrays choose is compared with the registered methods, run one problem at a time on the replay model, and with their
rules in pure Python on every problem; a difference ends the benchmark.

    python benchmarks/replay_speed.py [PROBLEMS] [SAMPLES]
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ponder.bench.curve import Point, run_points
from ponder.bench.job import Named
from ponder.bench.pools.curves import curve, oracle
from ponder.bench.pools.folder import PoolFolder, read_problems
from ponder.bench.pools.pool import Pool
from ponder.bench.pools.reading import read_arrays
from ponder.bench.pools.selectors import choices
from ponder.core.candidate import Score
from ponder.core.model import Completion, Sampling
from ponder.core.seeds import derive
from ponder.core.store import Store
from ponder.core.task import Message, Task
from ponder.core.usage import Usage
from ponder.models.replay import Recorded, ReplayModel
from ponder.numerics.votes import borda, majority
from ponder.strategies.borda_voting import rule_of_thumb
from ponder.tasks.problem import Problem

GOALS = {"majority": 200_000, "borda": 50_000, "seconds": 20.0, "bytes": 10**9}
CHECKED = 12  # problems on which the registered methods are run


def point(method: str, n: int, **fields: Any) -> Point:
    settings = {"n": n, **({"early_stop": "none"} if method == "self_consistency" else {}), **fields.pop("more", {})}
    return Point(curve=f"{method}{fields or ''}", method=method, settings=settings, **fields)


def generate(folder: Path, problems: int, samples: int) -> None:
    """Write a pool: problems of mixed difficulty, scores and certainty that know something of the grade."""
    stream = derive(0, "replay_speed")
    named = [
        Named("made", Problem(task=Task.of(f"Problem {k}: name a number.", answer="number"), reference="0"))
        for k in range(problems)
    ]
    facts = {
        "source": "made",
        "model": {"spec": "made", "name": "made", "info": {"fingerprint": "made"}},
        "verifiers": {"rm": {"name": "rm", "settings": {}}},
    }
    with PoolFolder(folder, facts, named) as pool:
        for one in named:
            skill, first = stream.random(), dict[str, int]()
            records = []
            for index in range(samples):
                right = stream.random() < skill
                answer = "0" if right else str(stream.randint(1, 9))
                words = stream.randint(5, 60)
                records.append(
                    Recorded(
                        messages=one.problem.task.messages,
                        index=index,
                        completion=Completion(
                            message=Message("assistant", f"The answer is {answer}"),
                            finish="stop",
                            usage=Usage(calls=1, prompt_tokens=30, completion_tokens=words),
                            certainty=(round(5 + right + stream.gauss(0, 2), 1),),
                        ),
                        problem=one.problem.task.id,
                        answer=answer,
                        group=first.setdefault(answer, index),
                        grade=right,
                        scores={"rm": Score(value=round(right + stream.gauss(0, 1), 1))},
                    )
                )
            pool.write(records)


def rate(call: Callable[[], object], candidates: int) -> float:
    """Return candidates per second, the best of several calls."""
    best = min(_timed(call) for _ in range(5))
    return candidates / best


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def check_rules(pool: Pool, n: int) -> None:
    """Compare the choices of all problems with the rules in pure Python."""
    block = pool.samples
    votes = choices(point("self_consistency", n), block, [n])[:, 0].tolist()
    ranked = choices(point("borda_voting", n), block, [n])[:, 0].tolist()
    for task in range(len(pool.ids)):
        groups = [None if g < 0 else g for g in block.groups[task, :n].tolist()]
        assert votes[task] == majority(groups), (task, "majority")
        twin = borda(groups, block.certainty[task, :n].tolist(), rule_of_thumb(n))
        assert ranked[task] == twin, (task, "borda")


def check_methods(pool: Pool, folder: Path, n: int) -> int:
    """Compare the choices of some problems with the registered methods on the replay model."""
    model, checked = ReplayModel.from_spec(str(folder)), 0
    points = [point("self_consistency", k) for k in (1, n // 2, n)]
    points += [point(name, k) for name in ("borda_voting", "self_certainty") for k in (n // 2, n)]

    async def run() -> None:
        nonlocal checked
        for task, named in enumerate(read_problems(folder)[:CHECKED]):
            runs = await run_points(
                named.problem, points, model=model, store=Store(), family="made", sampling=Sampling(max_tokens=100)
            )
            for found in runs:
                chosen = int(choices(found.point, pool.samples, [found.point.n])[task, 0])
                assert chosen == found.result.chosen, (named.problem.task.id, found.point)
                checked += 1

    asyncio.run(run())
    return checked


def curves(folder: Path, samples: int) -> float:
    """Return the seconds of all 64-point curves, from the samples file on."""
    sizes = list(range(1, samples + 1))
    start = time.perf_counter()
    pool = read_arrays(folder)
    for name in ("self_consistency", "borda_voting", "self_certainty"):
        curve(pool, point(name, samples), sizes)
    for weighted in (False, True):
        curve(pool, point("best_of_n", samples, verifier="rm", more={"weighted": weighted}), sizes)
    oracle(pool, sizes)
    return time.perf_counter() - start


def main() -> None:
    problems, samples = (int(text) for text in (sys.argv[1:] + ["1000", "64"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "pool"
        generate(folder, problems, samples)
        seconds = curves(folder, samples)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        pool = read_arrays(folder)
        opening = _timed(lambda: read_arrays(folder))
        check_rules(pool, samples)
        checked = check_methods(pool, folder, samples)
        total = problems * samples
        block = pool.samples
        rates = {
            "majority": rate(lambda: choices(point("self_consistency", samples), block, [samples]), total),
            "borda": rate(lambda: choices(point("borda_voting", samples), block, [samples]), total),
        }
    print(f"{problems:,} problems x {samples} samples, numpy {np.__version__}")
    for name, found in rates.items():
        print(f"{name}: {found:,.0f} candidates/s, goal {GOALS[name]:,}, goal/measured {GOALS[name] / found:.3f}")
    print(
        f"curves: {samples} points of 5 methods and pass@k from the samples file: {seconds:.2f} s,"
        f" goal {GOALS['seconds']:.0f} s, measured/goal {seconds / GOALS['seconds']:.3f}"
    )
    print(f"peak memory: {peak / 1e6:,.0f} MB, goal 1,000 MB, measured/goal {peak / GOALS['bytes']:.3f}")
    print(f"opening it again from its arrays: {opening * 1000:.0f} ms")
    print(f"same choice as the rules on {problems:,} problems, as the registered methods in {checked} runs")
    print(json.dumps({"rates": rates, "seconds": seconds, "peak": peak, "opening": opening}))


if __name__ == "__main__":
    main()
