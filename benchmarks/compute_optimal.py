"""The compute-optimal curve against uniform best-of-N: at what share of the tokens does it reach the same accuracy.

    python benchmarks/compute_optimal.py [--model hf:smollm2] [--runs FOLDER ...] [--head DIRECTORY] [...]

Reads run folders of `ponder bench` (those of benchmarks/auto_policy.py serve), or first records one under --out; it
resumes, and with complete folders no model is opened. The verifier is the arithmetic check, which costs no token and is
fooled by a number copied wrongly, or with --head the PRM that `ponder train prm` made: questions that it was trained on
are left out. Difficulty is what that verifier says of the first sample. Choices are made on one half of the questions
and measured on the other, both ways; all tokens of all roles are charged, the probe's too. Printed: each curve; for
each budget the ratio of tokens to the cheapest uniform best-of-N of equal accuracy with its interval (goal: at most
1/2), and the paired difference in accuracy against a margin of 2 points; the same where only method and number of
samples may be chosen, as in the paper.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ponder.bench.job import Grid, Job
from ponder.bench.rows import Row, read_rows
from ponder.bench.runner import run_job
from ponder.bench.studies.optimum import PROBE, Optimum, find_optimum
from ponder.core.model import Sampling
from ponder.planning.difficulty import Absolute, Difficulty
from ponder.verifiers.trained_prm import Head

MARGIN = 0.02
FAMILIES = ("multiplication_stories", "arithmetic_chains?steps=2")


def job(options: argparse.Namespace, verifier: str, judging: Mapping[str, Any]) -> Job:
    """What is recorded where no folder is named."""
    sizes, accepts = tuple(options.sizes), (None, *options.accept)
    return Job(
        models=(options.model,),
        methods=(
            Grid(method="greedy"),
            Grid(method="self_consistency", settings={"n": sizes, "early_stop": ("none", "bayes"), "ahead": (1,)}),
            Grid(
                method="best_of_n",
                settings={"n": sizes, "accept": accepts, "ahead": (1,)},
                verifier=verifier,
                judging=judging,
            ),
        ),
        tasks=tuple(options.family),
        count=options.tasks,
        task_seed=5,
        sampling=Sampling(temperature=0.8, top_p=0.95, max_tokens=options.max_tokens),
    )


async def recorded(options: argparse.Namespace, verifier: str, judging: Mapping[str, Any]) -> list[Path]:
    """Return the folders, after recording one if need be."""
    if options.runs:
        return list(options.runs)
    done = await run_job(job(options, verifier, judging), options.out, concurrency=options.concurrency)
    if done.done < done.total:
        raise SystemExit(f"{done.total - done.done} runs are missing ({done.detail}); run again")
    return [options.out]


def select(rows: Sequence[Row], families: Sequence[str], verifier: str, probe: int, trained: set[str]) -> list[Row]:
    """Return the rows to choose from, with the first samples of best-of-N as the probe."""
    kept = [
        row
        for row in rows
        if row.family in families
        and row.method != "auto"
        and row.verifier in ("", verifier)
        and row.problem not in trained
    ]
    first = [row for row in kept if plain(row) and row.n == probe]
    if not first:
        raise SystemExit(f"no best_of_n of n={probe} by {verifier} in these rows")
    return [*kept, *(replace(row, curve=PROBE) for row in first)]


def plain(row: Row) -> bool:
    """Whether it is best-of-N that draws all samples."""
    return row.method == "best_of_n" and row.settings.get("accept") is None and not row.settings.get("weighted")


def show(found: Optimum) -> None:
    """Print what was found."""
    for point in found.points:
        if point.accuracy is None:  # nothing of it could be graded
            continue
        low, high = 100 * point.accuracy.low, 100 * point.accuracy.high
        print(
            f"  {point.curve.partition('@')[0]:46} n={point.n:<3} accuracy {100 * point.accuracy.value:5.1f} %"
            f" [{low:.1f}, {high:.1f}]  tokens a question {point.tokens:8,.0f}"
        )
    for match in found.matches:
        ratio, change = match.ratio, match.difference
        curve, n = match.base
        said = "not worse" if match.shown else "not shown to be as good"
        print(
            f"  at most {match.budget:2} samples: {ratio.value:.2f} x [{ratio.low:.2f}, {ratio.high:.2f}] the tokens of"
            f" {curve.partition('@')[0]} n={n}{'' if match.reached else ' (less accurate)'},"
            f" {100 * change.value:+.1f} points [{100 * change.low:+.1f}, {100 * change.high:+.1f}]: {said} at a margin"
            f" of {100 * MARGIN:g} points"
        )
    budget = max(found.policies)
    for fold, policy in enumerate(found.policies[budget], 1):
        chosen = ", ".join(
            f"{name}: {choice.key[0].partition('@')[0]} n={choice.key[1]}" for name, choice in policy.table.items()
        )
        print(f"  chosen for fold {fold} at most {budget}: {chosen}")


async def main() -> None:
    options = read_options()
    verifier, judging, trained = "arithmetic", {}, set[str]()
    if options.head is not None:
        verifier, judging = "trained_prm", {"directory": str(options.head)}
        trained = set(Head.load(options.head).report["tasks"])
    folders = await recorded(options, verifier, judging)
    rows = select(
        [row for folder in folders for row in read_rows(folder / "rows.jsonl")],
        options.family,
        verifier,
        options.probe,
        trained,
    )
    names = tuple(map(str, range(len(options.bins) + 1)))
    difficulty = Difficulty(estimator="verifier", binning=Absolute(thresholds=tuple(options.bins), names=names))
    print(
        f"{len({row.problem for row in rows})} questions of {', '.join(options.family)}; {rows[0].model} by {verifier}"
    )
    print("all configurations:")
    show(find_optimum(rows, difficulty, margin=MARGIN, slack=options.slack, seed=2026))
    print("only the method and the number of samples:")
    paper = [
        row for row in rows if row.settings.get("accept") is None and row.settings.get("early_stop", "none") == "none"
    ]
    show(find_optimum(paper, difficulty, margin=MARGIN, slack=options.slack, seed=2026))


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add: Any = parser.add_argument
    add("--model", default="hf:smollm2", help="any model")
    add("--runs", type=Path, nargs="+", default=[], help="run folders that are there")
    add("--out", type=Path, default=Path("runs/compute_optimal"), help="folder to record, without --runs")
    add("--head", type=Path, default=None, help="directory of a trained PRM; by default the arithmetic check judges")
    add("--family", nargs="+", default=FAMILIES, help="task families")
    add("--tasks", type=int, default=150, help="questions of each")
    add("--sizes", type=int, nargs="+", default=[1, 2, 4, 8])
    add("--probe", type=int, default=1, help="samples from which difficulty is estimated")
    add("--bins", type=float, nargs="+", default=[0.5], help="least score of each bin but the hardest, falling")
    add("--accept", type=float, nargs="+", default=[1.0], help="scores at which a sample may be taken at once")
    add("--slack", type=float, default=MARGIN, help="accuracy that a choice may give up for a lower cost")
    add("--max-tokens", type=int, default=48)
    add("--concurrency", type=int, default=8, help="questions in flight")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
