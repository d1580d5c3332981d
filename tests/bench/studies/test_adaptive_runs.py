"""Steady cells stop at the least runs, mixed ones go on, budgets hold, and the rows make an ARISE score."""

from __future__ import annotations

from typing import Any

import pytest

from ponder.bench.curve import Point
from ponder.bench.metrics.arise import Arise
from ponder.bench.studies.adaptive_runs import Repeated, run_adaptively
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Request, Sampling
from ponder.core.seeds import derive
from ponder.core.solve import Control
from ponder.core.task import Task
from ponder.models.scripted import ScriptedModel
from ponder.numerics.arise import AdaptiveRuns
from ponder.tasks.problem import Problem

POINTS = tuple(
    Point(curve="vote", method="self_consistency", settings={"n": n, "early_stop": "none"}) for n in (1, 2, 4)
)
PROBLEMS = tuple(
    Problem(task=Task.of(f"{kind} question {at}", answer="number"), reference="42")
    for kind in ("steady", "mixed")
    for at in range(4)
)


def reply(request: Request, number: int) -> str:
    """Right at once to steady questions, and half the time to mixed ones."""
    steady = "steady" in request.messages[-1].text
    return "42" if steady or derive(request.seed, "coin").random() < 0.5 else "7"


async def run(**fields: Any) -> Repeated:
    base: dict[str, Any] = {
        "model": ScriptedModel(replies=reply),
        "family": "coins",
        "sampling": Sampling(max_tokens=8),
    }
    return await run_adaptively(PROBLEMS, POINTS, **{**base, **fields})


def runs_of(found: Repeated, kind: str) -> list[int]:
    names = {problem.task.id for problem in PROBLEMS if kind in problem.task.messages[-1].text}
    return [cell.runs for (problem, _, _), cell in found.cells.items() if problem in names]


async def test_steady_cells_stop_at_the_least_and_mixed_ones_go_on() -> None:
    found = await run()
    assert found.stopped == "done"
    assert set(runs_of(found, "steady")) == {3}
    assert max(runs_of(found, "mixed")) > 3
    assert all(3 <= cell.runs <= 10 for cell in found.cells.values())
    assert all(cell.converged or cell.runs == 10 for cell in found.cells.values())
    assert sum(cell.runs for cell in found.cells.values()) == len(found.rows)
    assert {row.seed for row in found.rows} <= set(range(10))


async def test_the_rows_make_a_score_from_the_means_of_their_runs() -> None:
    found = await run()
    [score] = [measure for measure in Arise().compute(found.rows) if measure.name == "arise"]
    assert score.prompts == len(PROBLEMS)
    assert score.value is not None


async def test_a_budget_of_runs_goes_to_the_cells_that_vary() -> None:
    cells = len(PROBLEMS) * len(POINTS)
    found = await run(budget=3 * cells + 20)
    assert len(found.rows) <= 3 * cells + 20
    assert set(runs_of(found, "steady")) == {3}
    assert max(runs_of(found, "mixed")) > 3
    least = await run(budget=0)
    assert len(least.rows) == 3 * cells


async def test_same_seed_same_runs_and_another_rule_is_kept() -> None:
    first, again = await run(seed=5), await run(seed=5)
    assert first.cells == again.cells
    fixed = await run(rule=AdaptiveRuns(least=2, most=2))
    assert {cell.runs for cell in fixed.cells.values()} == {2}


async def test_what_nothing_can_grade_is_not_run_again() -> None:
    problems = [Problem(task=Task.of("steady?", answer="number"))]
    found = await run_adaptively(
        problems, POINTS, model=ScriptedModel(replies=reply), family="x", sampling=Sampling(max_tokens=8)
    )
    assert found.cells == {}
    assert len(found.rows) == len(POINTS)


async def test_stopping_returns_what_was_run() -> None:
    control = Control()
    control.cancel()
    found = await run(control=control)
    assert (found.stopped, found.rows) == ("cancelled", ())


async def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput):
        await run_adaptively([], POINTS, model=ScriptedModel(), family="x", sampling=Sampling())
    with pytest.raises(BadInput):
        await run_adaptively(PROBLEMS[:1] * 2, POINTS, model=ScriptedModel(), family="x", sampling=Sampling())
    with pytest.raises(ConfigError):
        await run(budget=-1)
    with pytest.raises(ConfigError):
        await run(tokens="time")
