"""The main job: a small model on two kinds of generated prompts, at growing numbers of samples, within minutes.

Multiplication stories are answered greedily, by vote, and by best-of-N under an arithmetic check that sees no gold;
writing tasks greedily and by best-of-N under the rules that the prompt states, which are also the grader. How many
prompts there are is decided by a short speed probe on prompts of its own. Prompts of the two kinds alternate, so that
a job that ends early has about as many of each.
Source: our own. Cost: greedy and the largest number of samples, for each prompt. Needs: nothing beyond the base
install, and a model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ponder.bench.curve import Point, Run, run_points
from ponder.bench.rows import Row, append_rows
from ponder.bench.summary import Key
from ponder.core import registry
from ponder.core.budget import Budget
from ponder.core.errors import ConfigError, Stopped
from ponder.core.model import Model, Sampling
from ponder.core.seeds import derive_seed
from ponder.core.solve import Control, solve
from ponder.core.store import Store
from ponder.tasks.problem import Problem

__all__ = ["SAMPLING", "SIZES", "Demo", "Kind", "Probe", "Progress", "demo_kinds", "run_demo"]

SAMPLING = Sampling(temperature=0.8, top_p=0.95, top_k=0, min_p=0.0, max_tokens=40)
SIZES = (1, 2, 4, 8, 16)
_FEWEST, _MOST = 12, 24  # prompts of a kind
_MARGIN = 0.8  # part of the time limit that the probe's forecast may fill; the rest is for its error


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of prompts and what is run on it.

    Attributes:
        family: registered task family.
        title: for people.
        note: what a reader must know to read the curves.
        points: what is run on each prompt.
        comparisons: pairs of points, as (curve, n), to test in pairs: the first against the second.
        savings: pairs of points that differ in an early stop: all samples, and stopped.
    """

    family: str
    title: str
    note: str
    points: tuple[Point, ...]
    comparisons: tuple[tuple[Key, Key], ...] = ()
    savings: tuple[tuple[Key, Key], ...] = ()

    @property
    def largest(self) -> int:
        """Most samples of a point."""
        return max(point.n for point in self.points)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the speed probe saw.

    Attributes:
        seconds: how long it took.
        tokens: completion tokens that came in that time.
        forecast: seconds that one prompt of each kind should take together; None where nothing came in time.
        count: prompts of a kind that were chosen.
    """

    seconds: float
    tokens: int
    forecast: float | None
    count: int


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where the job stands.

    Attributes:
        phase: what is going on.
        done, total: prompts of all kinds.
        tokens: completion tokens that have come in this phase.
        seconds: since the phase began.
        runs: of the finished prompts.
    """

    phase: Literal["probe", "run"]
    done: int = 0
    total: int = 0
    tokens: int = 0
    seconds: float = 0.0
    runs: Sequence[Run] = ()


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What the job did.

    Attributes:
        model: its name.
        determinism: whether the model repeats itself for a seed.
        seed: of the job.
        sampling: the law of the samples.
        kinds: what was run.
        probe: the speed probe; None where the number of prompts was given.
        runs: every run of every finished prompt.
        planned: prompts of all kinds that were meant to run.
        seconds: time of generation, probe apart.
        stopped: "done", or what ended it before all prompts were done: "deadline" is the time limit.
        detail: the same in words.
    """

    model: str
    determinism: str
    seed: int
    sampling: Sampling
    kinds: tuple[Kind, ...]
    probe: Probe | None
    runs: tuple[Run, ...]
    planned: int
    seconds: float
    stopped: Stopped = "done"
    detail: str = ""

    @property
    def rows(self) -> list[Row]:
        """The rows of all runs."""
        return [run.row for run in self.runs]


def demo_kinds(sizes: Sequence[int] = SIZES) -> tuple[Kind, ...]:
    """Return the two kinds with a point for each number of samples in `sizes` (>= 1)."""
    most = max(sizes)
    greedy = Point(curve="greedy", method="greedy")
    votes = [Point(curve="self-consistency", method="self_consistency", settings=_vote(n, "none")) for n in sizes]
    early = Point(curve="vote, stopped early", method="self_consistency", settings=_vote(most, "exact"))
    checked, ruled = (_best_of(verifier, sizes) for verifier in ("arithmetic", "constraints"))
    base = (greedy.curve, 1)
    vote, arithmetic, rules = ((points[0].curve, most) for points in (votes, checked, ruled))
    return (
        Kind(
            family="multiplication_stories",
            title="Multiplication stories",
            note="The arithmetic check sees no reference: it works the story out again from the prompt. On stories of"
            " one step that is nearly as good as a reference, so its curve shows what choosing is worth where checking"
            " is easy.",
            points=(greedy, *votes, early, *checked),
            comparisons=((vote, base), (arithmetic, base), (arithmetic, vote)),
            savings=((vote, (early.curve, most)),),
        ),
        Kind(
            family="writing",
            title="Writing tasks",
            note="verifier = grader: the rules stated in the prompt choose the answer and grade it. The curve shows how"
            " often N samples hold an answer that keeps them, and nothing about the verifier.",
            points=(greedy, *ruled),
            comparisons=((rules, base),),
        ),
    )


def _vote(n: int, early_stop: str) -> dict[str, object]:
    return {"n": n, "early_stop": early_stop}


def _best_of(verifier: str, sizes: Sequence[int]) -> list[Point]:
    curve = f"best-of-N, {verifier}"
    return [Point(curve=curve, method="best_of_n", settings={"n": n}, verifier=verifier) for n in sizes]


async def run_demo(
    model: Model,
    *,
    seed: int = 0,
    count: int | None = None,
    sizes: Sequence[int] = SIZES,
    limit: float = 240.0,
    probing: float = 5.0,
    rows: Path | None = None,
    control: Control | None = None,
    tell: Callable[[Progress], None] | None = None,
) -> Demo:
    """Run the job.

    Args:
        model: the policy; it stays open.
        seed: of the prompts and of the samples.
        count: prompts of a kind; by default 12 to 24, chosen by the probe.
        sizes: numbers of samples.
        limit: seconds of generation. A prompt that would go beyond it, by the slowest one so far, is not begun, and
            one that does is left out.
        probing: seconds that the probe may take.
        rows: file to which the rows of each finished prompt are appended.
        control: stops the job; the prompt that is running is left out.
        tell: called as things go on, often.

    Raises:
        ConfigError: a setting makes no sense, or the model does not give what the methods need.
    """
    if count is not None and count < 1:
        raise ConfigError(f"count must be at least 1, got {count!r}")
    if not sizes or min(sizes) < 1:
        raise ConfigError(f"sizes must be numbers of samples, got {sizes!r}")
    kinds = demo_kinds(sizes)
    control = control or Control()
    probe = None
    if count is None:
        probe = await _probe(model, kinds, seed, limit, probing, control, _Teller("probe", 0, tell))
        count = probe.count
    turns = _turns(kinds, count, seed)
    store, teller = Store(), _Teller("run", len(turns), tell)
    slowest = 0.0
    stopped: Stopped = "done"
    over, detail = f"the time limit of {limit:g} s leaves no room for another", ""
    timer = asyncio.get_running_loop().call_later(limit, control.cancel, over)
    try:
        for kind, problem in turns:
            before = teller.seconds
            if before + slowest > limit:
                stopped, detail = "deadline", over
                break
            runs = await run_points(
                problem,
                kind.points,
                model=model,
                store=store,
                family=kind.family,
                sampling=SAMPLING,
                seed=seed,
                control=control,
                progress=teller.count,
            )
            broken = next((run.result for run in runs if run.broken_off), None)
            if broken is not None:
                stopped, detail = broken.stopped, broken.detail
                if detail == over:
                    stopped = "deadline"
                break
            if rows is not None:
                append_rows(rows, [run.row for run in runs])
            slowest = max(slowest, teller.seconds - before)
            teller.finish(runs)
    finally:
        timer.cancel()
        store.close()
    return Demo(
        model=model.name,
        determinism=model.determinism,
        seed=seed,
        sampling=SAMPLING,
        kinds=kinds,
        probe=probe,
        runs=tuple(teller.runs),
        planned=len(turns),
        seconds=teller.seconds,
        stopped=stopped,
        detail=detail,
    )


def _turns(kinds: Sequence[Kind], count: int, seed: int) -> list[tuple[Kind, Problem]]:
    """Return `count` problems of each kind, the kinds taking turns."""
    drawn = [registry.tasks.get(kind.family).make().generate(count, seed) for kind in kinds]
    return [turn for round_ in zip(*drawn, strict=True) for turn in zip(kinds, round_, strict=True)]


async def _probe(
    model: Model,
    kinds: Sequence[Kind],
    seed: int,
    limit: float,
    seconds: float,
    control: Control,
    teller: _Teller,
) -> Probe:
    """Sample from one prompt of each kind, drawn from another seed, and forecast from speed and length."""
    tokens, forecast = 0, 0.0
    for kind, problem in _turns(kinds, 1, derive_seed(seed, "demo", "probe")):
        before = teller.seconds
        result = await solve(
            problem.task,
            model=model,
            method="self_consistency",
            n=kind.largest,
            early_stop="none",
            seed=seed,
            sampling=SAMPLING,
            budget=Budget(seconds=seconds / len(kinds)),
            control=control,
            progress=teller.count,
        )
        # A sample that was broken off counts as if it had gone on to the limit of tokens.
        lengths = [c.usage.completion_tokens if c.complete else SAMPLING.max_tokens for c in result.candidates]
        came = sum(c.usage.completion_tokens for c in result.candidates if c.usage.exact)
        tokens += came
        if came and lengths:
            each = (teller.seconds - before) / came
            forecast += each * (kind.largest + 1) * sum(lengths) / len(lengths)
        else:
            forecast = float("inf")
    fitting = int(_MARGIN * limit / forecast) if forecast > 0 else _MOST
    return Probe(
        seconds=teller.seconds,
        tokens=tokens,
        forecast=None if forecast == float("inf") else forecast,
        count=min(_MOST, max(_FEWEST, fitting)),
    )


@dataclass
class _Teller:
    """Keeps the counts of a phase and tells them."""

    phase: Literal["probe", "run"]
    total: int
    tell: Callable[[Progress], None] | None
    runs: list[Run] = field(default_factory=list)
    done: int = 0
    tokens: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def count(self, span: int, text: str, tokens: int) -> None:
        """Count streamed tokens: the `progress` callback of `solve`."""
        self.tokens += tokens
        self._say()

    def finish(self, runs: Sequence[Run]) -> None:
        """Take in the runs of a finished prompt."""
        self.runs.extend(runs)
        self.done += 1
        self._say()

    def _say(self) -> None:
        if self.tell is not None:
            self.tell(
                Progress(
                    phase=self.phase,
                    done=self.done,
                    total=self.total,
                    tokens=self.tokens,
                    seconds=self.seconds,
                    runs=self.runs,
                )
            )
