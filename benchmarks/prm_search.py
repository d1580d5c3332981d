"""Search guided by the PRM that `ponder train prm` fitted to the embedded model, against sampling, on unseen chains.

    ponder train prm runs/prm && python benchmarks/prm_search.py --head runs/prm [--tasks 60] [--seconds 250] [...]

Greedy, self-consistency, best-of-N, beam search and DVTS, the last three with the PRM, on arithmetic chains that it was
not trained on. `--rows` and `--store` keep what was done: a run that ended (`--seconds`, Ctrl-C) goes on where it was.
Printed: accuracy, paired difference from best-of-N of equal size, tokens that the policy was shown, that it wrote and
that the PRM read, FLOPs of both. Then one ratio: tokens of the PRM search over those of the cheapest uniform best-of-N
that is as accurate as best-of-N gets; both are chosen on one half of the questions, measured on the other. All tokens
are charged, a prompt for each call; beside it with the question read once for all calls, as a prefix cache does it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ponder import Sampling, load, solve
from ponder.core import registry
from ponder.core.model import Model, Request
from ponder.core.store import Store
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.numerics.intervals import Interval
from ponder.numerics.paired import cost_ratio, paired_score_interval
from ponder.tasks.problem import Problem
from ponder.verifiers.trained_prm import FILE, Head, TrainedPrm

FAMILY, MARGIN, BASE, SEARCHES = "arithmetic_chains", 0.02, "best_of_n", ("beam_search", "dvts")


class Configuration(NamedTuple):
    """A method and its number of samples."""

    method: str
    n: int


class Row(NamedTuple):
    """One run: what it answered and what it cost."""

    problem: str
    method: str
    n: int
    right: bool
    shown: int  # prompt tokens of the policy
    written: int
    read: int  # by the PRM
    policy_flops: float
    prm_flops: float
    tokens: int  # all of them
    once: int  # all, with the question read once


def settings(one: Configuration, steps: int) -> dict[str, Any]:
    """Return the settings of a method."""
    if one.method in SEARCHES:
        return {"n": one.n, "branch": max(2, one.n // 2), "depth": steps + 1, "step_tokens": 24}
    return {"greedy": {}, BASE: {"n": one.n}}.get(one.method, {"n": one.n, "early_stop": "none"})


async def run_one(
    problem: Problem, one: Configuration, model: Model, options: Any, prm: TrainedPrm, store: Store
) -> Row:
    """Run one configuration on one question."""
    result = await solve(
        problem.task,
        model=model,
        method=one.method,
        verifier=prm if one.method in (BASE, *SEARCHES) else None,
        sampling=Sampling(max_tokens=options.max_tokens),
        seed=options.seed,
        store=store,
        **settings(one, options.steps),
    )
    answers = registry.answer_types.get(problem.task.answer).make()
    right = result.answer is not None and await answers.same(result.answer, str(problem.reference))
    question = model.count(Request(messages=problem.task.messages)).tokens
    policy, read = result.usage["policy"], result.usage.get("prm", Usage(flops=0.0))
    flops, tokens = (policy.flops or 0.0, read.flops or 0.0), policy.tokens + read.tokens
    told, again = (policy.prompt_tokens, policy.completion_tokens, read.tokens), policy.calls + read.calls - 1
    return Row(problem.task.id, one.method, one.n, right, *told, *flops, tokens, tokens - again * question)


async def record(problems: Sequence[Problem], made: Sequence[Configuration], options: argparse.Namespace) -> list[Row]:
    """Return the rows that the file holds after at most `--seconds` of further work."""
    key = hashlib.sha256((options.head / FILE).read_bytes() + str((options.seed, options.steps)).encode()).hexdigest()
    options.rows.parent.mkdir(parents=True, exist_ok=True)
    lines = options.rows.read_text().splitlines() if options.rows.exists() else []
    rows = [Row(*line["row"]) for line in map(json.loads, lines) if line["key"] == key]
    done = {(row.problem, row.method, row.n) for row in rows}
    started, model, store, prm = time.monotonic(), None, Store(options.store), TrainedPrm(directory=str(options.head))
    try:
        for start in range(0, len(problems), options.together):
            for one in made:
                part = [p for p in problems[start : start + options.together] if (p.task.id, *one) not in done]
                if not part or time.monotonic() - started > options.seconds:
                    continue
                model = model or load(options.model)
                new = await gather_all([partial(run_one, p, one, model, options, prm, store) for p in part])
                rows += new
                with options.rows.open("a") as file:
                    file.writelines(json.dumps({"key": key, "row": row}) + "\n" for row in new)
    finally:
        store.close()
        if model is not None:
            await model.close()
    return [row for row in rows if row.problem in {problem.task.id for problem in problems}]


def table_of(rows: Sequence[Row], made: Sequence[Configuration]) -> dict[Configuration, dict[str, Row]]:
    """Return the rows of each configuration by question, for the questions that all of them were run on."""
    table: dict[Configuration, dict[str, Row]] = {
        one: {r.problem: r for r in rows if (r.method, r.n) == one} for one in made
    }
    common = set.intersection(*(set(found) for found in table.values()))
    return {one: {name: found[name] for name in sorted(common)} for one, found in table.items()}


def choose(table: dict[Configuration, dict[str, Row]], names: Sequence[str]) -> tuple[Configuration, Configuration]:
    """Return the PRM search and the best-of-N that these questions recommend."""
    cost = {one: sum(found[name].tokens for name in names) for one, found in table.items()}
    share = {one: sum(found[name].right for name in names) / len(names) for one, found in table.items()}
    most = max(share[one] for one in table if one.method == BASE)
    base = min((one for one in table if one.method == BASE and share[one] == most), key=cost.__getitem__)
    searches = [one for one in table if one.method in SEARCHES]
    equal = [one for one in searches if share[one] >= most - MARGIN]
    return min(equal, key=cost.__getitem__) if equal else max(searches, key=lambda one: (share[one], -cost[one])), base


def show(table: dict[Configuration, dict[str, Row]], seed: int) -> None:
    """Print the table and the ratio."""
    names = sorted(next(iter(table.values())))
    print(f"{'':22}{'right':>7}  {'against best-of-N':26}{'shown':>8}{'written':>9}{'read':>8}{'GFLOP + PRM':>18}")
    for one, found in table.items():
        rows, said, base = list(found.values()), "", Configuration(BASE, one.n)
        if base in table and base != one:
            said = "{:+.1%} [{:+.1%}, {:+.1%}]".format(*difference(rows, [table[base][name] for name in names]))
        mean = [sum(values) / len(rows) for values in zip(*(row[3:9] for row in rows), strict=True)]
        spent, tokens = f"{mean[4] / 1e9:.1f} + {mean[5] / 1e9:.1f}", f"{mean[1]:8.0f}{mean[2]:9.0f}{mean[3]:8.0f}"
        print(f"{one.method:18}{one.n:>4}{mean[0]:7.1%}  {said:26}{tokens}{spent:>18}")
    searched, uniform = list[Row](), list[Row]()
    for learnt, measured in ((names[::2], names[1::2]), (names[1::2], names[::2])):
        best, base = choose(table, learnt)
        print(f"chosen on {len(learnt)} questions: {best.method} @ {best.n} against {BASE} @ {base.n}")
        searched += [table[best][name] for name in measured]
        uniform += [table[base][name] for name in measured]
    ratio = cost_ratio([row.tokens for row in searched], [row.tokens for row in uniform], seed=seed)
    once = cost_ratio([row.once for row in searched], [row.once for row in uniform], seed=seed)
    change = difference(searched, uniform)
    print("PRM search / best-of-N: {:.2f} [{:.2f}, {:.2f}] of the tokens (goal 0.50)".format(*ratio))
    print("                        {:.2f} [{:.2f}, {:.2f}] with the question read once".format(*once))
    said = "not worse" if change.low > -MARGIN else "not shown to be as good"
    print("accuracy {:+.1%} [{:+.1%}, {:+.1%}]: ".format(*change) + f"{said} at a margin of {MARGIN:.0%}")


def difference(rows: Sequence[Row], others: Sequence[Row]) -> Interval:
    pairs = [(row.right, other.right) for row, other in zip(rows, others, strict=True)]
    return paired_score_interval(pairs.count((True, False)), pairs.count((False, True)), len(pairs))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add: Any = parser.add_argument
    add("--head", type=Path, required=True, help="directory that `ponder train prm` wrote")
    add("--model", default="hf:smollm2")
    add("--tasks", type=int, default=60)
    add("--steps", type=int, default=3, help="operations of a chain")
    add("--sizes", type=int, nargs="+", default=[4, 8])
    add("--max-tokens", type=int, default=48)
    add("--seconds", type=float, default=float("inf"), help="of work before it ends; run it again to go on")
    add("--together", type=int, default=6, help="questions in flight")
    add("--store", type=Path, default=Path("runs/prm_search.sqlite"))
    add("--rows", type=Path, default=Path("runs/prm_search.jsonl"))
    add("--seed", type=int, default=2026)
    options = parser.parse_args()
    report = Head.load(options.head).report
    family, trained = registry.tasks.get(FAMILY).make(steps=options.steps), set(report["tasks"])
    drawn = family.generate(options.tasks + len(trained), options.seed)
    problems = [problem for problem in drawn if problem.task.id not in trained][: options.tasks]
    made = [Configuration("greedy", 1)]
    made += [Configuration(name, n) for name in ("self_consistency", BASE, *SEARCHES) for n in options.sizes]
    table = table_of(await record(problems, made, options), made)
    done = len(table[made[0]])
    print(f"n={done} of {len(problems)} questions of {options.steps} steps, none of them trained on")
    print("held-out AUC of the PRM:", *(f"{name} {report['held_out'][name]}" for name in ("auc", "auc_within")))
    if done >= 4:
        show(table, options.seed)


if __name__ == "__main__":
    asyncio.run(main())
