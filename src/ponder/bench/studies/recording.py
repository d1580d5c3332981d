"""Run points on problems and append their rows: the live side of every study.

Rows go to the file as each problem ends, so that a killed study keeps what it has; with a response store on disk, a
second run pays only for what is missing, and problems whose rows are known are not run at all.
Source: our own. Cost: the largest point of each problem and model. Needs: a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ponder.bench.curve import Point, Run, run_points
from ponder.bench.rows import Row, append_rows
from ponder.core import registry
from ponder.core.errors import ConfigError, Stopped
from ponder.core.model import Model, Sampling
from ponder.core.result import Result
from ponder.core.siblings import Progress
from ponder.core.solve import Control
from ponder.core.store import Store
from ponder.core.tasks import gather_all
from ponder.tasks.problem import Problem

__all__ = ["Recorded", "Turn", "record", "samples_in_parallel"]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Points that one policy runs on each problem.

    Attributes:
        model: the policy.
        points: what it runs.
        roles: further models by role.
    """

    model: Model
    points: tuple[Point, ...]
    roles: Mapping[str, Model] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What was recorded.

    Attributes:
        rows: of the finished problems.
        planned: problems that were meant to run, and how many
        done: were.
        stopped: "done", or what ended it.
        detail: the same in words.
    """

    rows: tuple[Row, ...]
    planned: int
    done: int
    stopped: Stopped = "done"
    detail: str = ""


async def record(
    problems: Sequence[Problem],
    turns: Sequence[Turn],
    *,
    family: str,
    sampling: Sampling,
    seed: int = 0,
    store: Store | None = None,
    file: Path | None = None,
    known: Sequence[Row] = (),
    together: int = 1,
    control: Control | None = None,
    progress: Progress | None = None,
    tell: Callable[[int, int], None] | None = None,
    seen: Callable[[Run], None] | None = None,
) -> Recorded:
    """Run every turn on every problem; a problem that is broken off is left out, and ends it.

    Args:
        problems: with their references.
        turns: who runs what.
        family: task family, for the rows.
        sampling: the law of the samples.
        seed: of the samples.
        store: keeps answers; by default in memory.
        file: to which the rows of each finished problem are appended.
        known: rows of an earlier recording; a problem that has one for each point is not run again.
        together: problems in flight at once, >= 1; more than one fills the batch of a model that samples in batches.
        control: stops it.
        progress: called with (span, text, tokens) as tokens stream.
        tell: called with (problems done, planned) as they end.
        seen: called with each run that was made and not broken off.

    Raises:
        ConfigError: `together` out of range.
    """
    if together < 1:
        raise ConfigError(f"together must be at least 1, got {together!r}")
    kept = Store() if store is None else store
    earlier: dict[str, dict[tuple[str, str, int], Row]] = {}
    for row in known:
        if row.seed == seed:
            earlier.setdefault(row.problem, {})[row.model, row.curve, row.n] = row
    written = {id(row) for row in known}
    rows: list[Row] = []
    done = 0

    async def run(problem: Problem) -> list[Row] | Result:
        """Return the rows of a problem, or the result that was broken off."""
        found: list[Row] = []
        for turn in turns:
            keys = [(turn.model.name, point.curve, point.n) for point in turn.points]
            have = earlier.get(problem.task.id, {})
            if all(key in have for key in keys):
                found += [have[key] for key in keys]
                continue
            runs = await run_points(
                problem,
                turn.points,
                model=turn.model,
                roles=turn.roles,
                store=kept,
                family=family,
                sampling=sampling,
                seed=seed,
                control=control,
                progress=progress,
            )
            broken = next((run.result for run in runs if run.broken_off), None)
            if broken is not None:
                return broken
            if seen is not None:
                for made in runs:
                    seen(made)
            found += [run.row for run in runs]
        return found

    try:
        for start in range(0, len(problems), together):
            ended = await gather_all([partial(run, problem) for problem in problems[start : start + together]])
            for found in ended:
                if isinstance(found, Result):
                    continue
                if file is not None:
                    append_rows(file, [row for row in found if id(row) not in written])
                rows += found
                done += 1
                if tell is not None:
                    tell(done, len(problems))
            broken = next((found for found in ended if isinstance(found, Result)), None)
            if broken is not None:
                return Recorded(
                    rows=tuple(rows), planned=len(problems), done=done, stopped=broken.stopped, detail=broken.detail
                )
    finally:
        if kept is not store:
            kept.close()
    return Recorded(rows=tuple(rows), planned=len(problems), done=done)


def samples_in_parallel(method: str) -> bool:
    """Return whether a method's answers are independent samples of the policy, and nothing that it guided."""
    return method in registry.strategies.names() and registry.strategies.get(method).tags.get("what") == ("parallel",)
