"""Making training data: one run for each task, in order, and a line of the file for each as soon as it is done.

Source: our own. A run that was broken off resumes from the response store: what was sampled once is not paid again.
Cost: that of the runs. Needs: tasks with references.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ponder.core.context import Context, Method
from ponder.core.errors import BadInput, Stopped
from ponder.core.model import Model, Request, Sampling
from ponder.core.result import Result
from ponder.core.solve import Control, solve
from ponder.core.store import Store
from ponder.tasks.problem import Problem
from ponder.training._grader import Grade, grader

__all__ = ["Asking", "Record", "each_task", "texts"]


class Record(Protocol):
    """What one task gave."""

    @property
    def stopped(self) -> Stopped:
        """Why the run of this task ended."""

    def to_json(self) -> dict[str, Any]:
        """Return its line of the file."""


M = TypeVar("M", bound=Method)
R = TypeVar("R", bound=Record)


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Who is asked, and how.

    Attributes:
        model: the policy.
        roles: further models.
        sampling: law of what is drawn.
        seed: of all draws.
        store: response store.
        control: ends the work early, with the tasks that are done by then.
    """

    model: Model
    roles: Mapping[str, Model] = field(default_factory=dict)
    sampling: Sampling
    seed: int = 0
    store: Store | None = None
    control: Control | None = None


async def each_task(
    problems: Sequence[Problem],
    asking: Asking,
    begin: Callable[[Problem, Grade], M],
    record: Callable[[Problem, M, Result], R],
    *,
    progress: Callable[[int, int], None] | None = None,
    file: Path | None = None,
) -> list[R]:
    """Run on each problem in turn; the first run that does not end whole is the last.

    Args:
        problems: with references.
        asking: who, and how.
        begin: makes the method of one run, which is told what is right.
        record: reads what it found.
        progress: called with (problems done, all of them) before each.
        file: JSON lines, written anew.

    Raises:
        BadInput: a problem without a reference that can be read; nothing was spent.
    """
    graders = [grader(problem) for problem in problems]
    if file is not None:
        await asyncio.to_thread(file.write_text, "", encoding="utf-8")
    out: list[R] = []
    for done, (problem, right) in enumerate(zip(problems, graders, strict=True)):
        if progress is not None:
            progress(done, len(problems))
        run = begin(problem, right)
        result = await solve(
            problem.task,
            model=asking.model,
            method=run,
            roles=asking.roles,
            sampling=asking.sampling,
            seed=asking.seed,
            store=asking.store,
            control=asking.control,
        )
        made = record(problem, run, result)
        out.append(made)
        if file is not None:
            await asyncio.to_thread(_append, file, json.dumps(made.to_json(), ensure_ascii=False))
        if made.stopped != "done":
            break
    return out


async def texts(ctx: Context, role: str, request: Request, path: Sequence[str | int]) -> list[str]:
    """Return what the siblings of a request wrote; failed ones, and a prompt without room for an answer, give nothing.

    Raises:
        Interrupted: the run ended before all were had.
    """
    try:
        draws = await ctx.model(role).sample(request, path=path)
    except BadInput:
        return []
    for draw in draws:
        if draw.interrupted is not None:
            raise draw.interrupted
    return [draw.completion.text for draw in draws if draw.completion is not None]


def _append(file: Path, line: str) -> None:
    with file.open("a", encoding="utf-8") as out:
        out.write(line + "\n")
