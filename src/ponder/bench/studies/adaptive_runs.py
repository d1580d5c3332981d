"""Adaptive runs: repeat each question at each point of a curve until accuracy and tokens no longer vary much.

Every cell (question, point) gets the least runs; then it is run again while its variation stays above a threshold, up
to the most runs, or up to its share of a budget of runs over all cells. The rows go into the metric `arise` as any.
Paper: Yin et al. 2025, arXiv:2510.06014 (card 41, B and C), after the released code.
Differs: runs of the probe count, where the released budgeted form throws them away. Run r of a cell has the seed
`seed + r` at every point, so that its points share samples. A cell that nothing can grade is not run again.
Cost: between least and most times the curve's. Needs: a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ponder.bench.curve import Point, run_points
from ponder.bench.metrics.metric import Cost, check_cost, cost_of
from ponder.bench.rows import Row
from ponder.core.errors import BadInput, ConfigError, Stopped
from ponder.core.model import Model, Sampling
from ponder.core.solve import Control
from ponder.core.store import Store
from ponder.numerics.arise import AdaptiveRuns, Cell, allocate_runs
from ponder.tasks.problem import Problem

__all__ = ["Repeated", "run_adaptively"]


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """What was run.

    Attributes:
        rows: of all runs.
        cells: by (problem, curve, n): mean accuracy and tokens, runs, and whether they are steady; ungraded ones are
            left out.
        stopped: "done", or what ended it early.
        detail: the same in words.
    """

    rows: tuple[Row, ...]
    cells: Mapping[tuple[str, str, int], Cell]
    stopped: Stopped = "done"
    detail: str = ""


async def run_adaptively(
    problems: Sequence[Problem],
    points: Sequence[Point],
    *,
    model: Model,
    family: str,
    sampling: Sampling,
    rule: AdaptiveRuns | None = None,
    budget: int | None = None,
    seed: int = 0,
    tokens: Cost = "completion_tokens",
    roles: Mapping[str, Model] | None = None,
    store: Store | None = None,
    control: Control | None = None,
) -> Repeated:
    """Run every point on every problem as often as its variation asks for.

    Args:
        problems: with their references, each id once.
        points: levels of a curve, or of several.
        model: the policy.
        family: task family, for the rows.
        sampling: the law of the samples.
        rule: least and most runs of a cell, and the threshold; by default the released one.
        budget: runs over all cells; None for as many as the rule asks for. No cell gets fewer than the least.
        seed: of the first run of each cell.
        tokens: whose variation counts.
        roles: further models by role.
        store: keeps answers; by default in memory.
        control: stops it; what was run by then is returned.

    Raises:
        BadInput: no problems or points, or two problems with one id.
        ConfigError: a budget below 0, or no such cost.
    """
    rule = rule or AdaptiveRuns()
    check_cost(tokens)
    if not problems or not points or len({problem.task.id for problem in problems}) < len(problems):
        raise BadInput("adaptive runs need points, and problems with ids of their own")
    if budget is not None and budget < 0:
        raise ConfigError(f"a budget of runs cannot be below 0, got {budget!r}")
    kept = Store() if store is None else store
    cells = {(problem.task.id, at): _Runs() for problem in problems for at in range(len(points))}
    limits = dict.fromkeys(cells, rule.least)
    rows: list[Row] = []

    def wants(problem: Problem, at: int) -> bool:
        key = problem.task.id, at
        cell, limit = cells[key], limits.get(key, rule.least)
        return not cell.unknown and replace(rule, most=limit).wants_more(cell.accuracies, cell.tokens)

    async def repeat() -> tuple[Stopped, str]:
        """Run every cell as often as its limit and its variation say."""
        for problem in problems:
            while wanting := [at for at in range(len(points)) if wants(problem, at)]:
                least = min(cells[problem.task.id, at].count for at in wanting)
                now = [at for at in wanting if cells[problem.task.id, at].count == least]
                runs = await run_points(
                    problem,
                    [points[at] for at in now],
                    model=model,
                    roles=roles,
                    store=kept,
                    family=family,
                    sampling=sampling,
                    seed=seed + least,
                    control=control,
                )
                broken = next((run.result for run in runs if run.broken_off), None)
                if broken is not None:
                    return broken.stopped, broken.detail
                for at, run in zip(now, runs, strict=True):
                    rows.append(run.row)
                    cells[problem.task.id, at].take(run.row, tokens)
        return "done", ""

    try:
        stopped, detail = await repeat()
        if stopped == "done":
            known = [key for key, cell in cells.items() if not cell.unknown]
            if budget is None:
                limits = dict.fromkeys(known, rule.most)
            else:
                found = [rule.cell(cells[key].accuracies, cells[key].tokens).variation for key in known]
                most = allocate_runs(found, budget, least=rule.least, most=rule.most)
                limits = dict(zip(known, most, strict=True))
            stopped, detail = await repeat()
    finally:
        if kept is not store:
            kept.close()
    done = {
        (problem, points[at].curve, points[at].n): rule.cell(cell.accuracies, cell.tokens)
        for (problem, at), cell in cells.items()
        if cell.accuracies and not cell.unknown
    }
    return Repeated(rows=tuple(rows), cells=done, stopped=stopped, detail=detail)


@dataclass
class _Runs:
    """The runs of a cell so far."""

    accuracies: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    unknown: bool = False

    @property
    def count(self) -> int:
        return len(self.accuracies)

    def take(self, row: Row, cost: Cost) -> None:
        spent = cost_of(row, cost)
        if row.correct is None or spent is None:
            self.unknown = True
            return
        self.accuracies.append(float(row.correct))
        self.tokens.append(spent)
