"""`auto` against the best single fixed method at equal cost, on questions that took no part in tuning.

    python benchmarks/auto_policy.py [--model hf:smollm2] [--out runs/auto] [--train 100] [--held-out 110] [...]

Three bench jobs in three folders under --out: questions to tune on, held-out questions of the same families, and
questions of families that tuning never saw. For each budget a policy is fitted on the first, and beside it the best
single method within that budget is chosen on the very same questions; then `auto` really runs on the other two.
Printed for each budget: the paired difference in accuracy with its 95 % interval (goal: the lower bound at least -2
points) and the ratio of nominal tokens, the same against the cheapest fixed method that was as accurate in training;
unseen families apart. "least cost" is the policy for the other objective. A broken run resumes, and with complete
folders no model is opened. Nothing here times anything.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ponder.bench.job import Grid, Job
from ponder.bench.rows import Row, read_rows
from ponder.bench.runner import run_job
from ponder.bench.tune import tune
from ponder.bench.tuning_rows import Recorded, gather
from ponder.core.model import Sampling
from ponder.numerics.paired import cost_ratio, paired_score_interval
from ponder.planning.policy import Choice, Policy
from ponder.planning.tuning import Aim, Spec, fit, take

FAMILIES = ("multiplication_stories", "writing", "arithmetic_chains?steps=2")
UNSEEN = ("ordering?level=1", "lookup?level=1")
SIZES = (1, 2, 4, 8)


def fixed_methods() -> tuple[Grid, ...]:
    """What a policy may choose from, and what it is compared with."""
    judged = [
        Grid(
            method="best_of_n",
            settings={"n": SIZES, "accept": (None, 1.0), "ahead": (1,)},
            verifier=verifier,
        )
        for verifier in ("arithmetic", "constraints")
    ]
    voted = Grid(method="self_consistency", settings={"n": SIZES, "early_stop": ("none", "bayes"), "ahead": (1,)})
    return (Grid(method="greedy"), voted, *judged)


def job(options: argparse.Namespace, tasks: Sequence[str], count: int, seed: int, methods: tuple[Grid, ...]) -> Job:
    """A job over some questions."""
    sampling = Sampling(temperature=0.8, top_p=0.95, max_tokens=options.max_tokens)
    return Job(
        models=(options.model,), methods=methods, tasks=tuple(tasks), count=count, task_seed=seed, sampling=sampling
    )


async def record(made: Job, folder: Path, concurrency: int) -> list[Row]:
    """Run what is missing and return the rows."""
    said = [-1]

    def tell(status: object) -> None:
        share = 20 * getattr(status, "done", 0) // max(1, getattr(status, "total", 1))
        if share != said[0]:
            said[0] = share
            print(f"  {folder.name}: {5 * share} %", file=sys.stderr, flush=True)

    done = await run_job(made, folder, concurrency=concurrency, tell=tell)
    if done.done < done.total:
        raise SystemExit(
            f"{folder}: {done.total - done.done} runs are missing: {done.missing or done.detail}; run again"
        )
    return read_rows(folder / "rows.jsonl")


def of_choice(rows: Sequence[Row], choice: Choice) -> dict[tuple[str, str], Row]:
    """Return the rows of one option by question."""
    return {
        (row.family, row.problem): row
        for row in rows
        if (row.method, dict(row.settings), row.verifier) == (choice.method, dict(choice.settings), choice.verifier)
    }


def of_policy(rows: Sequence[Row], policy: str) -> dict[tuple[str, str], Row]:
    """Return the rows of `auto` under one policy by question."""
    return {(row.family, row.problem): row for row in rows if row.method == "auto" and row.settings["policy"] == policy}


def compare(name: str, mine: Mapping[tuple[str, str], Row], base: Mapping[tuple[str, str], Row]) -> float:
    """Print a paired comparison and return the lower bound of the difference."""
    if set(mine) != set(base):
        raise SystemExit(f"{name}: {len(mine)} questions of one and {len(base)} of the other")
    pairs = [(mine[key], base[key]) for key in sorted(mine)]
    won = sum(bool(a.correct) and not b.correct for a, b in pairs)
    lost = sum(bool(b.correct) and not a.correct for a, b in pairs)
    gap = paired_score_interval(won, lost, len(pairs))
    costs = [[float(row.nominal.tokens) for row in side] for side in zip(*pairs, strict=True)]
    ratio = cost_ratio(*costs)
    right = [100 * sum(bool(row.correct) for row in side) / len(side) for side in zip(*pairs, strict=True)]
    print(
        f"  {name}: auto {right[0]:.1f} %, fixed {right[1]:.1f} % of {len(pairs)}; difference {100 * gap.value:+.1f}"
        f" points [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]; tokens {ratio.value:.2f} x"
        f" [{ratio.low:.2f}, {ratio.high:.2f}]"
    )
    return gap.low


def aims(recorded: Recorded, shares: Sequence[float]) -> dict[str, Aim]:
    """Return one aim for each share of the tokens of the dearest vote, and one for the least cost."""
    data = recorded.outcomes
    dearest = max(
        float(data.costs[:, at].mean())
        for at, option in enumerate(data.options)
        if option.choice.method == "self_consistency"
    )
    named = {f"{share * dearest:.0f} tokens": Aim(budget=share * dearest) for share in shares}
    return {**named, "least cost": Aim(objective="cost")}


async def main() -> None:
    options = read_options()
    out: Path = options.out
    methods = fixed_methods()
    record_all = options.concurrency
    seen = job(options, options.family, options.train, 1, methods)
    rows = await record(seen, out / "train", record_all)
    recorded = gather(rows)
    every = range(len(recorded.outcomes.questions))
    print(f"{rows[0].model}: {len(every)} training questions of {', '.join(options.family)}")
    for label in recorded.self_graded:
        print(f"  on questions that state their rules, {label} chooses by the program that grades them")
    made = {}
    for name, aim in aims(recorded, options.share).items():
        file = out / f"policy-{name.replace(' ', '-')}.json"
        tune(recorded, aim).save(file)
        made[name] = str(file)
    autos = Grid(method="auto", settings={"policy": tuple(made.values())})
    held = await record(
        job(options, options.family, options.held_out, 2, (*methods, autos)), out / "held-out", record_all
    )
    unseen = await record(job(options, options.unseen, options.apart, 3, (*methods, autos)), out / "unseen", record_all)
    worst = 1.0
    for name, aim in aims(recorded, options.share).items():
        policy = tune(recorded, aim)
        reached, spent = in_training(recorded, policy, aim)
        even, cheap = within(recorded, aim.budget or spent), as_accurate(recorded, reached)
        table = ", ".join(f"{place}: {choice.label}" for place, choice in policy.table.items())
        looked = "no probe" if policy.probe is None else f"probe {policy.probe.n} by {policy.probe.estimator}"
        print(f"{name} a question; policy: {looked}; {table or policy.otherwise.label}")
        mine = of_policy(held, made[name])
        low = compare(f"at equal cost, best fixed {even.label}", mine, of_choice(held, even))
        if aim.objective == "accuracy":
            worst = min(worst, low)
        compare(f"cheapest fixed as accurate in training {cheap.label}", mine, of_choice(held, cheap))
        for family in dict.fromkeys(row.family for row in unseen):
            part = [row for row in unseen if row.family == family]
            compare(f"unseen {family}, best fixed at equal cost", of_policy(part, made[name]), of_choice(part, even))
    print(f"least lower bound at equal cost, held out: {100 * worst:+.1f} points (goal: at least -2)")


def in_training(recorded: Recorded, policy: Policy, aim: Aim) -> tuple[float, float]:
    """Return the accuracy and the mean cost of the policy's fit on the training questions."""
    data = recorded.outcomes
    margin = policy.evidence["margin"]
    looks = [at for at, look in enumerate(data.looks) if look.probe == policy.probe]
    spec = Spec(looks[0], len(policy.bins.names), margin) if looks else Spec(None, 1, margin)
    every = range(len(data.questions))
    _, _, right, paid = take(data, every, fit(data, every, spec, aim))
    return float(right.mean()), float(paid.mean())


def within(recorded: Recorded, budget: float) -> Choice:
    """Return the fixed option that was most accurate in training among those that cost at most so much."""
    data = recorded.outcomes
    accuracy, cost = data.correct.mean(axis=0), data.costs.mean(axis=0)
    able = [at for at in range(len(data.options)) if cost[at] <= budget * (1 + 1e-9)]
    return data.options[max(able or [int(cost.argmin())], key=lambda at: (accuracy[at], -cost[at]))].choice


def as_accurate(recorded: Recorded, least: float) -> Choice:
    """Return the cheapest fixed option that reached an accuracy in training, or the most accurate where none did."""
    data = recorded.outcomes
    accuracy, cost = data.correct.mean(axis=0), data.costs.mean(axis=0)
    every = range(len(data.options))
    good = [at for at in every if accuracy[at] >= least - 1e-12]
    pick = min(good, key=lambda at: cost[at]) if good else max(every, key=lambda at: (accuracy[at], -cost[at]))
    return data.options[pick].choice


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="hf:smollm2")
    parser.add_argument("--out", type=Path, default=Path("runs/auto"))
    parser.add_argument("--family", nargs="+", default=FAMILIES, help="families that are tuned on")
    parser.add_argument("--unseen", nargs="+", default=UNSEEN, help="families that are not")
    parser.add_argument("--train", type=int, default=100, help="training questions of each family")
    parser.add_argument("--held-out", type=int, default=110, help="held-out questions of each family")
    parser.add_argument("--apart", type=int, default=50, help="questions of each unseen family")
    parser.add_argument("--share", type=float, nargs="+", default=[0.25, 0.5, 1.0], help="budgets, of the dearest vote")
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--concurrency", type=int, default=8, help="questions at once")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
