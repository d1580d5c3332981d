"""Run points on problems and append their rows: the live side of every study.

Rows go to the file as each problem ends, so that a killed study keeps what it has; with a response store on disk, a
second run pays only for what is missing.
Source: our own. Cost: the largest point of each problem and model. Needs: a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ponder.bench.curve import Point, run_points
from ponder.bench.rows import Row, append_rows
from ponder.core import registry
from ponder.core.errors import Stopped
from ponder.core.model import Model, Sampling
from ponder.core.siblings import Progress
from ponder.core.solve import Control
from ponder.core.store import Store
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
    control: Control | None = None,
    progress: Progress | None = None,
    tell: Callable[[int, int], None] | None = None,
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
        control: stops it.
        progress: called with (span, text, tokens) as tokens stream.
        tell: called with (problems done, planned) as they end.
    """
    kept = Store() if store is None else store
    rows: list[Row] = []
    try:
        for number, problem in enumerate(problems):
            found: list[Row] = []
            for turn in turns:
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
                    return Recorded(
                        rows=tuple(rows),
                        planned=len(problems),
                        done=number,
                        stopped=broken.stopped,
                        detail=broken.detail,
                    )
                found += [run.row for run in runs]
            if file is not None:
                append_rows(file, found)
            rows += found
            if tell is not None:
                tell(number + 1, len(problems))
    finally:
        if kept is not store:
            kept.close()
    return Recorded(rows=tuple(rows), planned=len(problems), done=len(problems))


def samples_in_parallel(method: str) -> bool:
    """Return whether a method's answers are independent samples of the policy, and nothing that it guided."""
    return method in registry.strategies.names() and registry.strategies.get(method).tags.get("what") == ("parallel",)
