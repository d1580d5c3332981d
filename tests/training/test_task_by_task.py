"""One run a task, in order, a line for each; what is not whole is the last."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ponder.core.context import Context
from ponder.core.errors import BadInput, Interrupted, ProviderError, Stopped
from ponder.core.model import Request, Sampling
from ponder.core.result import Result
from ponder.core.solve import Control
from ponder.core.task import Message, Task
from ponder.models.scripted import ScriptedModel
from ponder.tasks.problem import Problem
from ponder.training._task_by_task import Asking, each_task, texts

LAW = Sampling(max_tokens=8)


def problem(name: str, reference: str | None) -> Problem:
    task = Task(messages=(Message("user", f"question {name}"),), answer="number", id=name)
    return Problem(task=task, reference=reference)


PROBLEMS = [problem(f"q{at}", str(at)) for at in range(3)]


@dataclass
class Kept:
    """What one task gave."""

    task: str
    found: list[str]
    stopped: Stopped

    def to_json(self) -> dict[str, Any]:
        return {"task": self.task, "found": self.found}


class Asker:
    """Asks twice and keeps what came."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def calls(self) -> dict[str, int]:
        return {"policy": 2}

    async def run(self, task: Task, ctx: Context) -> Result:
        request = Request(messages=task.messages, sampling=ctx.sampling, n=2)
        try:
            self.found = await texts(ctx, "policy", request, ("ask", task.id))
        except Interrupted as why:
            return ctx.result([], best=None, stopped=why.reason, detail=str(why))
        return ctx.result([], best=None)


def record(problem: Problem, run: Asker, result: Result) -> Kept:
    return Kept(problem.task.id, run.found, result.stopped)


async def test_tasks_are_taken_in_order_and_written_as_they_are_done(tmp_path: Path) -> None:
    file, told = tmp_path / "out.jsonl", []
    file.write_text("of an earlier run\n")
    asking = Asking(model=ScriptedModel(replies=lambda request, _: request.messages[-1].text[-1]), sampling=LAW)
    found = await each_task(
        PROBLEMS, asking, lambda *_: Asker(), record, progress=lambda *at: told.append(at), file=file
    )
    assert [one.found for one in found] == [["0", "0"], ["1", "1"], ["2", "2"]]
    assert [json.loads(line) for line in file.read_text().splitlines()] == [one.to_json() for one in found]
    assert told == [(0, 3), (1, 3), (2, 3)]


async def test_a_run_that_is_stopped_is_the_last(tmp_path: Path) -> None:
    control = Control()

    def reply(request: Request, _: int) -> str:
        if "1" in request.messages[-1].text:
            control.cancel("enough")
        return "7"

    asking = Asking(model=ScriptedModel(replies=reply), sampling=LAW, control=control)
    found = await each_task(PROBLEMS, asking, lambda *_: Asker(), record, file=tmp_path / "out.jsonl")
    assert [one.stopped for one in found] == ["done", "cancelled"]
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2


async def test_failed_siblings_give_no_text() -> None:
    def reply(request: Request, _: int) -> str | ProviderError:
        return ProviderError("down") if request.index else "1"

    found = await each_task(
        PROBLEMS[:1], Asking(model=ScriptedModel(replies=reply), sampling=LAW), lambda *_: Asker(), record
    )
    assert found[0].found == ["1"]


async def test_a_task_that_cannot_be_graded_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    bad = problem("bad", None)
    asking = Asking(model=ScriptedModel(replies=["1"]), sampling=LAW)
    with pytest.raises(BadInput, match="no reference"):
        await each_task([*PROBLEMS, bad], asking, lambda *_: Asker(), record, file=tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()
