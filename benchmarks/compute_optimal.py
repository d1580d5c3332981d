"""The compute-optimal curve against uniform best-of-N: at what share of the tokens does it reach the same accuracy.

    python benchmarks/compute_optimal.py --model SPEC --store FILE --rows FILE [--head DIRECTORY] [...]

Arithmetic chains of several lengths and sizes, so that difficulty varies. Every configuration runs on every question
(`--rows` keeps what is recorded: with a complete file no model is opened, a broken run resumes). The verifier is the
arithmetic check, which costs no token and is fooled by a number copied wrongly, or with `--head` the PRM that
`benchmarks/prm_search.py` or `ponder train prm` trained; questions that it was trained on are left out. Difficulty is
estimated by the verifier from a probe of the first samples; choices are made on one half of the questions and measured
on the other. All tokens of all roles are charged, the probe's too. Printed: each curve; for each budget the ratio of
tokens to the cheapest uniform best-of-N of equal accuracy, with its interval, and the paired difference in accuracy
with its interval against a margin of 2 points; the same where only the number of samples may be chosen.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from ponder import Sampling, load
from ponder.bench.rows import Row, read_rows
from ponder.bench.studies.compute_optimal import Configuration, compute_optimal_points, compute_optimal_turns
from ponder.bench.studies.optimum import Optimum, find_optimum
from ponder.bench.studies.recording import record
from ponder.core import registry
from ponder.core.store import Store
from ponder.planning.difficulty import Absolute, Difficulty
from ponder.tasks.problem import Problem
from ponder.verifiers.trained_prm import Head

FAMILY, MARGIN = "arithmetic_chains", 0.02


def mixed(mix: str, count: int, seed: int) -> list[Problem]:
    """Chains of several kinds "STEPS:LARGEST:SHOTS,...", in turns."""
    kinds = [
        dict(zip(("steps", "largest", "shots"), map(int, part.split(":")), strict=True)) for part in mix.split(",")
    ]
    each = -(-count // len(kinds))
    drawn = [registry.tasks.get(FAMILY).make(**kind).generate(each, seed) for kind in kinds]
    return [problem for row in zip(*drawn, strict=True) for problem in row][:count]


def configurations(accepts: list[float], *, everything: bool) -> list[Configuration]:
    """What may be chosen; plain best-of-N first, for it is the curve to compare with."""
    made: list[tuple[str, dict[str, Any]]] = [
        ("best_of_n", {}),
        ("greedy", {}),
        ("self_consistency", {"early_stop": "none"}),
    ]
    if everything:
        made += [("self_consistency", {"early_stop": "bayes", "ahead": 1}), ("best_of_n", {"weighted": True})]
        made += [("best_of_n", {"accept": value, "ahead": 1}) for value in accepts]
    return [Configuration(method=method, settings=settings) for method, settings in made]


async def rows_of(options: argparse.Namespace, difficulty: Difficulty) -> list[Row]:
    """Return the rows of all configurations, from the file and from the model."""
    problems = mixed(options.mix, options.tasks, options.seed)
    verifier, judging = "arithmetic", {}
    if options.head is not None:
        trained = set(Head.load(options.head).report["tasks"])
        problems = [problem for problem in problems if problem.task.id not in trained]
        verifier, judging = "trained_prm", {"directory": str(options.head)}
    points = compute_optimal_points(
        configurations(options.accept, everything=True),
        [int(size) for size in options.sizes.split(",")],
        difficulty=difficulty,
        probe=options.probe,
        verifier=verifier,
        judging=judging,
    )
    known = read_rows(options.rows) if options.rows.exists() else []
    ids = {problem.task.id for problem in problems}
    known = [row for row in known if row.problem in ids]
    if len(known) == len(ids) * len(points):
        return known
    options.rows.parent.mkdir(parents=True, exist_ok=True)
    model, store = load(options.model), Store(options.store)
    try:
        done = await record(
            problems,
            compute_optimal_turns(model, points),
            family=FAMILY,
            sampling=Sampling(temperature=0.8, top_p=0.95, max_tokens=options.max_tokens),
            seed=options.seed,
            store=store,
            file=options.rows,
            known=known,
            together=options.together,
        )
    finally:
        await model.close()
        store.close()
    return list(done.rows)


def show(found: Optimum) -> None:
    """Print what was found."""
    for point in found.points:
        if point.accuracy is None:  # nothing of it could be graded
            continue
        low, high = 100 * point.accuracy.low, 100 * point.accuracy.high
        print(
            f"  {point.curve:42} n={point.n:<3} accuracy {100 * point.accuracy.value:5.1f} % [{low:.1f}, {high:.1f}]"
            f"  tokens a question {point.tokens:8,.0f}"
        )
    for match in found.matches:
        ratio, change = match.ratio, match.difference
        curve, n = match.base
        said = "not worse" if match.shown else "not shown to be as good"
        print(
            f"  at most {match.budget:2} samples: {ratio.value:.2f} x [{ratio.low:.2f}, {ratio.high:.2f}] the tokens of"
            f" {curve} @ {n}{'' if match.reached else ' (less accurate)'}, {100 * change.value:+.1f} points"
            f" [{100 * change.low:+.1f}, {100 * change.high:+.1f}]: {said} at a margin of {100 * MARGIN:g} points"
        )
    budget = max(found.policies)
    for fold, policy in enumerate(found.policies[budget], 1):
        chosen = ", ".join(f"{name}: {choice.key[0]} @ {choice.key[1]}" for name, choice in policy.table.items())
        print(f"  chosen for fold {fold} at most {budget}: {chosen}")


async def main() -> None:
    options = read_options()
    bins = Absolute(thresholds=tuple(options.bins), names=tuple(map(str, range(len(options.bins) + 1))))
    difficulty = Difficulty(estimator="verifier", binning=bins)
    rows = await rows_of(options, difficulty)
    labels = {made.label for made in configurations(options.accept, everything=False)}
    print(f"{len({row.problem for row in rows})} questions of {rows[0].model}; goal: at most 0.50 x the tokens")
    print("all configurations:")
    show(find_optimum(rows, difficulty, margin=MARGIN, seed=options.seed))
    print("only the method and the number of samples (the paper's choice):")
    show(find_optimum([r for r in rows if r.curve in labels | {"probe"}], difficulty, margin=MARGIN, seed=options.seed))


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add: Any = parser.add_argument
    add("--model", default="hf:smollm2", help="any model")
    add("--store", type=Path, default=Path("runs/compute_optimal.sqlite"), help="keeps what was sampled")
    add("--rows", type=Path, default=Path("runs/compute_optimal.jsonl"), help="keeps what was recorded")
    add("--head", type=Path, default=None, help="directory of a trained PRM; by default the arithmetic check judges")
    add("--mix", default="2:9:5,3:9:5", help="kinds of chains, STEPS:LARGEST:SHOTS")
    add("--tasks", type=int, default=300)
    add("--sizes", default="1,2,4,8,16")
    add("--probe", type=int, default=1, help="samples from which difficulty is estimated")
    add("--bins", type=float, nargs="+", default=[0.5], help="least score of each bin but the hardest, falling")
    add("--accept", type=float, nargs="+", default=[1.0], help="scores at which a sample may be taken at once")
    add("--max-tokens", type=int, default=48)
    add("--together", type=int, default=4, help="questions in flight")
    add("--seed", type=int, default=2026)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
