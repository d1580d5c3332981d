"""Eight methods that split a question up or talk about it, against a vote and best-of-N at equal total tokens.

    python benchmarks/decomposition.py [--model llamacpp:coder05.gguf] [--stories 15] [--chains 10] [--out FOLDER]
    python benchmarks/decomposition.py --out FOLDER --print

Tokens are those that all roles read and wrote. Each of the eight runs as it is meant to at a small setting, and what it
spent is then given to the vote (`self_consistency`) and to `best_of_n` by the arithmetic check: of their sizes the two
around that mean are mixed so that the mean is met. A hard limit for all would cut the eight in the middle of a plan,
which says nothing about them. Where a method spent more than the dearest vote that was run, the vote had less: "n >".
Stories come with five questions each, and a sleep is charged to each question of its story by a fifth; "alone" charges
all of it to every one. A token of the small model of `thought_mani` counts as one of the large model's.
Printed: right answers with their 95 % interval (Wilson), tokens a question, the share of tokens that went to planners,
judges, sleepers and outlines, and differences to the vote and to best-of-N, in points, paired, with 95 % intervals: the
wider of that over stories (bootstrap) and that over questions (Tango). Then what ThoughtMani saved. A broken run goes
on with the same command; more questions and sizes may be asked for later. Nothing is timed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import ponder
from ponder import Message, Usage
from ponder.bench.job import Grid, Job, Named
from ponder.bench.rows import Row, read_rows
from ponder.bench.runner import run_job
from ponder.core.model import Model, Sampling
from ponder.core.result import total
from ponder.numerics.intervals import Interval, paired_difference, wilson
from ponder.numerics.paired import cost_ratio, paired_score_interval
from ponder.tasks.arithmetic_chains import ArithmeticChains
from ponder.tasks.problem import Problem
from ponder.tasks.stateful import Stateful

ASKED = 5  # questions of a story
SAY = "Work step by step, one calculation a line, and give the answer on the last line."
# A story that was worked out, which shows how short an answer can be. Chains bring one of their own.
_LENA = (
    "Lena has 4 baskets. Each of them holds 6 plums. On Monday Lena sells 5 plums, for 3 dollars each. On Tuesday 7"
    " more plums are delivered."
)
_WORKED = (
    ("How many plums does Lena have at first?", "4 * 6 = 24\nAnswer: 24"),
    ("How many dollars does Lena earn on Monday?", "5 * 3 = 15\nAnswer: 15"),
    ("How many plums are there after Tuesday?", "4 * 6 = 24\n24 - 5 = 19\n19 + 7 = 26\nAnswer: 26"),
)
SHOWN = tuple(
    one
    for question, done in _WORKED
    for one in (Message("user", f"{_LENA} {question} {SAY}"), Message("assistant", done))
)
VOTE, BEST = "self_consistency", "best_of_n"
SIZES = (1, 2, 3, 4, 6, 8, 12, 16)
PLANNING = ("planner", "judge", "sleeper")
EIGHT: dict[str, dict[str, Any]] = {
    "adaptive_graph_of_thoughts": {"layers": 2, "width": 2, "depth": 0, "plan_tokens": 200},
    "atom_of_thoughts": {"transitions": 1, "repairs": 1},
    "scale": {"outlines": 2, "tries": 2, "most": 4, "plan_tokens": 200, "fast_tokens": 100},
    "plan_and_budget": {"plan_tokens": 200},
    "agent_graph": {},
    "multi_agent_debate": {"agents": 3, "rounds": 2},
    "sleep_time": {"rounds": 1, "sleep_tokens": 200},
    "thought_mani": {"outline_tokens": 100},
}
THOUGHTS = ("external", "empty", "brief")
FOLDERS = ("stories", "chains", "thoughts")
HEAD = ("tokens", "written", "calls", "planning", "to a vote of as many", "to best-of-N of as many")
Rows = Mapping[str, Row]  # by question


@dataclass(frozen=True)
class Spent:
    """One way to answer, on the same questions as all others.

    Attributes:
        name: shown.
        right: by question, 0 or 1, or between where two sizes are mixed.
        tokens: by question.
        planned: those of them that planned, by question.
        rows: of the runs.
    """

    name: str
    right: dict[str, float]
    tokens: dict[str, float]
    planned: dict[str, float]
    rows: Rows

    @property
    def mean(self) -> float:
        """Tokens of a question."""
        return sum(self.tokens.values()) / len(self.tokens)


def story(problem: Problem) -> Problem:
    """Return a story that asks for its steps, behind three questions that were worked out."""
    task = problem.task
    (message,) = task.messages
    asked = task.metadata["question"]
    said = [text.replace("Reply with just the number.", SAY) for text in (message.text, asked)]
    messages = (*SHOWN, Message("user", said[0]))
    return replace(problem, task=replace(task, messages=messages, metadata={**task.metadata, "question": said[1]}))


def chain(problem: Problem) -> Problem:
    """Return a chain that ends with a question, its worked example too."""
    messages = [
        replace(one, text=f"{one.text} What is the result?") if one.role == "user" else one
        for one in problem.task.messages
    ]
    return replace(problem, task=replace(problem.task, messages=tuple(messages)))


def problems(options: argparse.Namespace) -> dict[str, list[Named]]:
    """Return stories, whose questions do not follow each other, and chains."""
    drawn = Stateful(questions=ASKED).generate(options.stories, options.seed)
    stories = [Named("stories", story(one)) for one in drawn]
    family = ArithmeticChains(steps=4, smallest=12, largest=99, shots=1)
    chains = [Named("chains", chain(one)) for one in family.generate(options.chains, options.seed)]
    spread = [stories[at] for k in range(ASKED) for at in range(k, len(stories), ASKED)]
    return {"stories": spread, "chains": chains}


def jobs(options: argparse.Namespace) -> dict[str, Job]:
    """Return what is run, by folder: the methods whose roles are all one model, and the one with a small model."""
    common: dict[str, Any] = {
        "models": (options.model,),
        "tasks": ("stateful", "arithmetic_chains"),  # in our own wording
        "count": max(1, options.stories + options.chains),
        "task_seed": options.seed,
        "sampling": Sampling(temperature=0.7, top_p=0.95, max_tokens=options.max_tokens),
        "keep_text": True,
    }
    alone = [
        Grid(method=name, settings={key: (value,) for key, value in settings.items()})
        for name, settings in EIGHT.items()
        if name != "thought_mani"
    ]
    sizes = tuple(options.sizes)
    sampled = [
        Grid(method=VOTE, settings={"n": sizes, "early_stop": ("none",)}),
        Grid(method=BEST, settings={"n": sizes}, verifier="arithmetic"),
    ]
    mani = {key: (value,) for key, value in EIGHT["thought_mani"].items()}
    thoughts = Grid(method="thought_mani", settings={**mani, "thought": THOUGHTS})
    methods = Job(methods=(*sampled, *alone), **common)
    return {
        "stories": methods,
        "chains": methods,
        "thoughts": Job(methods=(thoughts,), roles={"small": options.small}, **common),
    }


async def run(options: argparse.Namespace, asked: Mapping[str, Sequence[Named]]) -> None:
    """Run what is missing in the folders."""

    def opened(spec: str) -> Model:
        wanted = {"slots": options.slots, "context": options.context, "threads": options.threads}
        return ponder.load(spec, **wanted) if spec.startswith("llamacpp:") else ponder.load(spec)

    for name, job in jobs(options).items():
        if name not in options.only:
            continue
        said = [-1]

        def tell(status: Any, name: str = name, said: list[int] = said) -> None:
            if status.done != said[0]:
                said[0] = status.done
                print(f"  {name}: {status.done} of {status.total} runs", file=sys.stderr, flush=True)

        done = await run_job(
            job,
            options.out / name,
            problems=asked[name] if name in asked else [one for part in asked.values() for one in part],
            opener=opened,
            concurrency=options.together,
            tell=tell,
        )
        if done.done < done.total:
            print(f"{name}: {done.total - done.done} runs are missing {dict(done.missing)} {done.detail}; run it again")


def read(options: argparse.Namespace, asked: Mapping[str, Sequence[Named]]) -> dict[tuple[str, Any], dict[str, Row]]:
    """Return the rows of each way to answer by question, for those questions that all of them have answered; with
    `partial` for those that it has answered itself and both curves too.

    Ways are (method, n) of the two that sample, (method, thought) of ThoughtMani, else (method, None).
    """
    found: dict[tuple[str, Any], dict[str, Row]] = {}
    wanted = [(name, n) for name in (VOTE, BEST) for n in options.sizes]
    wanted += [(name, None) for name in EIGHT if name != "thought_mani"]
    wanted += [("thought_mani", thought) for thought in THOUGHTS]
    for way in wanted:
        found[way] = {}
    for name in FOLDERS:
        file = options.out / name / "rows.jsonl"
        for row in read_rows(file) if file.exists() else ():
            kind = row.n if row.method in (VOTE, BEST) else row.settings.get("thought")
            if (row.method, kind) in found and row.correct is not None:
                found[row.method, kind][row.problem] = row
    needed = {way: set(rows) for way, rows in found.items() if not options.partial or way[0] in (VOTE, BEST)}
    common = set.intersection(*needed.values())
    order = [one.problem.task.id for part in asked.values() for one in part if one.problem.task.id in common]
    return {way: {name: rows[name] for name in order if name in rows} for way, rows in found.items()}


def story_of(problem: str) -> str:
    """Return what questions share: the story, or the chain itself."""
    return problem.rpartition("/")[0] or problem


def spent(name: str, rows: Rows, *, shared: bool = False) -> Spent:
    """Return one way to answer; `shared` charges a sleep to the questions of its story by equal parts."""
    tokens, planned = dict[str, float](), dict[str, float]()
    for key, row in rows.items():
        roles = (*PLANNING, "small") if row.method == "thought_mani" else PLANNING
        slept = row.usage.get("sleeper", Usage()).tokens
        spared = slept * (1 - 1 / ASKED) if shared and row.family == "stories" else 0
        tokens[key] = row.nominal.tokens - spared
        planned[key] = sum(row.usage[role].tokens for role in roles if role in row.usage) - spared
    return Spent(name, {key: float(bool(row.correct)) for key, row in rows.items()}, tokens, planned, rows)


def on(one: Spent, rows: Rows) -> Spent:
    """Return one way to answer on some of its questions."""
    right, tokens, planned = ({key: part[key] for key in rows} for part in (one.right, one.tokens, one.planned))
    return Spent(one.name, right, tokens, planned, {key: one.rows[key] for key in rows})


def at_tokens(curve: Sequence[Spent], tokens: float) -> tuple[Spent, str]:
    """Mix the two neighbours on a curve that spend so many tokens in the mean; with a mark where there are none."""
    curve = sorted(curve, key=lambda one: one.mean)
    if tokens < curve[0].mean:
        return curve[0], "<"
    for low, high in pairwise(curve):
        if tokens <= high.mean:
            part = (tokens - low.mean) / (high.mean - low.mean)
            right = {key: (1 - part) * low.right[key] + part * high.right[key] for key in low.right}
            n = (1 - part) * float(low.name) + part * float(high.name)
            return replace(low, name=f"{n:.1f}", right=right), ""
    return curve[-1], ">"


def gap(one: Spent, other: Spent, seed: int) -> Interval:
    """Return the paired difference in points, with the wider of its intervals over stories and over questions."""
    keys = list(one.right)
    stories = [story_of(key) for key in keys]
    mine, others = ([100 * side.right[key] for key in keys] for side in (one, other))
    found = paired_difference(mine, others, stories, seed=seed)
    gaps = [(a - b) / 100 for a, b in zip(mine, others, strict=True)]
    score = paired_score_interval(sum(max(0.0, g) for g in gaps), sum(max(0.0, -g) for g in gaps), len(gaps))
    return Interval(found.value, min(found.low, 100 * score.low), max(found.high, 100 * score.high))


def points(found: Interval) -> str:
    """Write a difference."""
    return f"{found.value:+.0f} [{found.low:+.0f}, {found.high:+.0f}]"


def share(one: Spent) -> str:
    """Write a share with its interval."""
    found = wilson(sum(one.right.values()), len(one.right))
    return f"{found.value:.0%} [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def line(one: Spent, curves: Mapping[str, Sequence[Spent]], families: Sequence[str], seed: int) -> tuple[str, ...]:
    """Return a row of the table."""
    used = [row.nominal for row in one.rows.values()]
    written, calls = sum(u.completion_tokens for u in used) / len(used), sum(u.calls for u in used) / len(used)
    cells = [one.name, share(one), *(of_family(one, name) for name in families)]
    cells += [f"{one.mean:,.0f}", f"{written:,.0f}", f"{calls:.1f}"]
    cells.append(f"{sum(one.planned.values()) / sum(one.tokens.values()):.0%}")
    for name, curve in curves.items():
        if one.name.startswith(name):
            cells.append("-")
            continue
        other, mark = at_tokens([on(each, one.rows) for each in curve], one.mean)
        reached = sum(other.right.values()) / len(other.right)
        cells.append(f"{points(gap(one, other, seed))}, {reached:.0%} (n {mark or '='} {other.name})")
    return tuple(cells)


def show(options: argparse.Namespace, asked: Mapping[str, Sequence[Named]]) -> None:
    """Print the tables."""
    table = read(options, asked)
    rows = next(iter(table.values()))
    if len(rows) < 2:
        raise SystemExit("fewer than two questions have been answered by all methods: run it again without --print")
    families = [row.family for row in rows.values()]
    counts = ", ".join(f"{families.count(name)} of {name}" for name in dict.fromkeys(families))
    print(f"{options.model}: {len(rows)} questions ({counts}), at most {options.max_tokens} tokens an answer")
    curves = {name: [spent(str(n), table[name, n]) for n in options.sizes] for name in (VOTE, BEST)}
    ways = [replace(one, name=f"{name}, n={one.name}") for name in (VOTE, BEST) for one in curves[name]]
    for name in EIGHT:
        mine = table[name, "external" if name == "thought_mani" else None]
        if not mine:
            continue
        ways.append(spent(name, mine, shared=name == "sleep_time"))
        if name == "sleep_time":
            ways.append(spent("sleep_time, alone", mine))
    names = list(dict.fromkeys(families))
    head = ("method", "right", *names, *HEAD)
    print("| " + " | ".join(head) + " |\n|---" + "|--:" * (len(head) - 1) + "|")
    for one in ways:
        print("| " + " | ".join(line(one, curves, names, options.seed)) + " |")
    thoughts(options, table)


def of_family(one: Spent, family: str) -> str:
    """Write the right answers of one family."""
    right = [one.right[key] for key, row in one.rows.items() if row.family == family]
    return f"{sum(right):.0f}/{len(right)}"


def thoughts(options: argparse.Namespace, table: Mapping[tuple[str, Any], Rows]) -> None:
    """Print what each kind of thought saves of the large model's written tokens, against its plain answer."""
    shown = {thought: table["thought_mani", thought] for thought in THOUGHTS}
    base = {key: row for key, row in table[VOTE, 1].items() if all(key in rows for rows in shown.values())}
    if not base:
        return
    print(f"\nThoughtMani, outlines by {options.small}; saved: of what the large model writes in its plain answer")
    print("| thought | right | to the plain answer | large model writes | small one writes | saved |")
    print("|---|--:|--:|--:|--:|--:|")
    plain = spent("", base)
    large = [float(total(row.usage).completion_tokens) for row in base.values()]
    print(f"| none: the plain answer | {share(plain)} | - | {sum(large) / len(large):.0f} | 0 | - |")
    for thought in THOUGHTS:
        rows = {key: shown[thought][key] for key in base}
        mine = spent(thought, rows)
        own = [float(row.usage["policy"].completion_tokens) for row in rows.values()]
        small = sum(row.usage.get("small", Usage()).completion_tokens for row in rows.values()) / len(rows)
        ratio = cost_ratio(own, large, seed=options.seed)
        saved = f"{1 - ratio.value:.0%} [{100 * (1 - ratio.high):.0f}, {100 * (1 - ratio.low):.0f}]"
        to_plain = points(gap(mine, plain, options.seed))
        print(f"| {thought} | {share(mine)} | {to_plain} | {sum(own) / len(own):.0f} | {small:.0f} | {saved} |")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="llamacpp:smollm2")
    parser.add_argument("--small", default="llamacpp:smollm2", help="writes the outlines of thought_mani")
    parser.add_argument("--out", type=Path, default=Path("runs/decomposition"))
    parser.add_argument("--stories", type=int, default=10, help=f"questions about stories, {ASKED} of each")
    parser.add_argument("--chains", type=int, default=5, help="arithmetic chains of four steps")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="of the vote and of best-of-N")
    parser.add_argument("--max-tokens", type=int, default=200, help="of an answer")
    parser.add_argument("--seed", type=int, default=8)
    parser.add_argument("--together", type=int, default=6, help="questions at once")
    parser.add_argument("--slots", type=int, default=16, help="answers at once, of the embedded model")
    parser.add_argument("--context", type=int, default=2048, help="of a prompt and its answer")
    parser.add_argument("--threads", type=int, default=0, help="of the embedded model; 0 takes every core")
    parser.add_argument("--only", nargs="+", choices=FOLDERS, default=FOLDERS, help="folders to run, for two processes")
    parser.add_argument("--partial", action="store_true", help="show each method on the questions that it has answered")
    parser.add_argument("--print", action="store_true", help="run nothing")
    return parser.parse_args()


if __name__ == "__main__":
    asked_for = read_options()
    drawn = problems(asked_for)
    if not asked_for.print:
        asyncio.run(run(asked_for, drawn))
    show(asked_for, drawn)
