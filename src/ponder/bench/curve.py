"""Run the points of a scaling curve on one problem and grade them.

The point with the most samples runs first, so that its samples go out together; the smaller points and the other
methods under the same sampling law find theirs in the response store, so a whole curve pays for its largest point.
A consequence: the clock of a smaller point shows nothing. Its seconds are stated as its tokens at the pace that was
measured on the calls sent for the same problem under the same law, and are marked as not measured.
Source: our own (DESIGN, principle 4). Cost: the largest point. Needs: a response store.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ponder._version import __version__
from ponder.bench.grading import grade, grader_name
from ponder.bench.rows import CandidateRow, Row
from ponder.core import registry
from ponder.core.budget import ADDITIVE, Budget
from ponder.core.context import AnswerType
from ponder.core.model import Model, Sampling
from ponder.core.result import Result, total
from ponder.core.siblings import Progress
from ponder.core.solve import Control, solve
from ponder.core.store import Store
from ponder.core.trace import Trace
from ponder.engines.confidence import self_certainty
from ponder.planning.costs import PriceTable, costs_of
from ponder.planning.difficulty import Evidence
from ponder.tasks.problem import Problem

__all__ = ["Point", "Run", "run_points"]

# A deadline or an overrun of the point's own budget is an outcome of the point; these two came from outside.
_BROKEN_OFF = frozenset({"cancelled", "endpoint"})


@dataclass(frozen=True, kw_only=True)
class Point:
    """One method configuration to run.

    Attributes:
        curve: name of the curve that it is a point of; the same for points that differ in `n` alone.
        method: registered name.
        settings: of the method.
        verifier: registered name, or None.
        judging: settings of the verifier.
        budget: hard limits in their text form, or "".
    """

    curve: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    verifier: str | None = None
    judging: Mapping[str, Any] = field(default_factory=dict)
    budget: str = ""

    @property
    def n(self) -> int:
        """Samples asked for."""
        return int(self.settings.get("n", 1))

    def identity(self) -> dict[str, Any]:
        """Return what fixes the runs of the point, defaults written out, as JSON values."""
        made = registry.strategies.get(self.method).make(**self.settings)
        judge = None if self.verifier is None else registry.verifiers.get(self.verifier).make(**self.judging)
        return {
            "method": self.method,
            "settings": registry.parameters(made),
            "verifier": self.verifier,
            "judging": None if judge is None else registry.parameters(judge),
            "budget": asdict(Budget.parse(self.budget)),
        }


@dataclass(frozen=True, kw_only=True)
class Run:
    """One point on one problem: the evidence and its row.

    Attributes:
        problem: what was asked.
        point: what was run.
        result: what came back.
        grades: of each candidate, in the order of `result.candidates`; None where it cannot be graded.
        groups: of each candidate, the index of the first with an equal answer; None where there is no answer.
        row: the record.
        trace: what happened; its id is the key of the run, where the run has one.
    """

    problem: Problem
    point: Point
    result: Result
    grades: tuple[bool | None, ...]
    groups: tuple[int | None, ...] = ()
    row: Row
    trace: Trace = field(default_factory=Trace)

    @property
    def broken_off(self) -> bool:
        """Whether the run was ended from outside, so that it is no point of a curve."""
        return self.result.stopped in _BROKEN_OFF

    def candidates(self, *, keep_text: bool = False) -> list[CandidateRow]:
        """Return a row for each answer."""
        return [
            CandidateRow(
                run=self.row.run,
                problem=self.row.problem,
                index=at,
                answer=c.answer,
                group=group,
                correct=grade,
                finish=c.finish,
                error=c.error,
                usage=c.usage,
                scores={name: score.value for name, score in c.scores.items()},
                certainty=self_certainty(c).value,
                text=c.text if keep_text and c.ok else None,
            )
            for at, (c, grade, group) in enumerate(zip(self.result.candidates, self.grades, self.groups, strict=True))
        ]


async def run_points(
    problem: Problem,
    points: Sequence[Point],
    *,
    model: Model,
    store: Store,
    family: str,
    sampling: Sampling,
    seed: int = 0,
    roles: Mapping[str, Model] | None = None,
    names: Mapping[str, str] | None = None,
    keys: Sequence[str] = (),
    prices: PriceTable | None = None,
    control: Control | None = None,
    progress: Progress | None = None,
    tell: Callable[[Run], None] | None = None,
) -> list[Run]:
    """Run every point on one problem.

    Args:
        problem: the task with its reference or grader, which only the grading sees.
        points: points of equal n and budget run in the order given.
        model: the policy.
        store: where the points share their samples.
        family: task family, for the rows.
        sampling: the law of the samples.
        seed: of the runs.
        roles: further models by role ("judge", ...).
        names: of the models in rows, by role ("policy", ...); by default their own.
        keys: of the runs, one per point, for the rows.
        prices: by name of the model, for costs in dollars and joules.
        control: stops the run from outside.
        progress: called with (span, text, tokens) as tokens stream.
        tell: called with each run as it ends, broken-off ones too.

    Returns:
        The runs in the order of `points`; after one that was broken off nothing more is run.

    Raises:
        ConfigError: a point does not fit the model.
    """
    models = {"policy": model, **(roles or {})}
    names = {role: used.name for role, used in models.items()} | dict(names or {})
    keys = keys or [""] * len(points)
    runs: dict[int, Run] = {}
    pace, grader = _Pace(), _Grader(problem)
    for index in sorted(range(len(points)), key=lambda i: _costliest_first(points[i])):
        point = points[index]
        trace = Trace(id=keys[index])
        result = await solve(
            problem.task,
            model=model,
            method=point.method,
            verifier=None if point.verifier is None else registry.verifiers.get(point.verifier).make(**point.judging),
            budget=point.budget,
            seed=seed,
            roles=roles,
            sampling=sampling,
            store=store,
            trace=trace,
            control=control,
            progress=progress,
            **point.settings,
        )
        grades = tuple([await grader.grade(c.answer, c.text) if c.ok else None for c in result.candidates])
        groups = tuple(await grader.kind.group([candidate.answer for candidate in result.candidates]))
        time = pace.of(result)
        row = Row(
            run=keys[index],
            problem=problem.task.id,
            family=family,
            curve=point.curve,
            method=result.method,
            settings=result.settings,
            verifier=point.verifier or "",
            judging=point.judging,
            budget=point.budget,
            n=point.n,
            answer=result.answer,
            correct=_grade_of(problem, result, grades),
            grader=grader_name(problem),
            level=_level(problem),
            usage=result.usage,
            paid=result.paid,
            costs=costs_of(
                result.usage,
                {role: models.get(role, model).info for role in result.usage},
                prices=prices,
                names={role: names.get(role, names["policy"]) for role in result.usage},
            ),
            candidates=len(result.candidates),
            seconds=time[0],
            measured=time[1],
            stopped=result.stopped,
            result=result.trace_id,
            model=names["policy"],
            fingerprint=model.info.fingerprint,
            roles={role: name for role, name in names.items() if role != "policy"},
            seed=seed,
            version=__version__,
            evidence=Evidence.of(result.candidates, groups=groups, verifier=point.verifier or "", grades=grades),
            **_flaws(result),
        )
        run = Run(problem=problem, point=point, result=result, grades=grades, groups=groups, row=row, trace=trace)
        runs[index] = run
        if tell is not None:
            tell(run)
        if run.broken_off:
            break
    return [runs[index] for index in sorted(runs)]


class _Grader:
    """Grades the answers to one problem, each text once: the points of a curve share their samples."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.kind: AnswerType = registry.answer_types.get(problem.task.answer).make()
        self._known: dict[tuple[str | None, str], bool | None] = {}

    async def grade(self, answer: str | None, text: str) -> bool | None:
        """Return the grade of an answer."""
        key = answer, text
        if key not in self._known:
            self._known[key] = await grade(self.problem, answer, text)
        return self._known[key]


class _Pace:
    """Seconds per completion token of the calls sent for one problem, from the run that sent the most."""

    def __init__(self) -> None:
        self._tokens = 0
        self._seconds = 0.0

    def of(self, result: Result) -> tuple[float | None, bool]:
        """Return the seconds of a run, and whether they were measured rather than put together."""
        sent = total(result.paid).completion_tokens
        if sent > self._tokens:
            self._tokens, self._seconds = sent, result.seconds
        served = result.cost.completion_tokens - sent
        if served <= 0:
            return result.seconds, True
        return (result.seconds + served * self._seconds / self._tokens if self._tokens else None), False


def _costliest_first(point: Point) -> tuple[object, ...]:
    """Sort by samples, falling; among equals, no budget comes before a large one, and that before a small one."""
    limits = Budget.parse(point.budget).limits()
    return -point.n, bool(limits), [-limits.get(unit, math.inf) for unit in ADDITIVE]


def _grade_of(problem: Problem, result: Result, grades: Sequence[bool | None]) -> bool | None:
    if result.chosen is not None:
        return grades[result.chosen]
    named = problem.reference is not None or problem.grader is not None
    gradable = named or any(found is not None for found in grades)
    return False if gradable else None  # no answer is a wrong answer


def _flaws(result: Result) -> dict[str, int]:
    failed = [not c.ok for c in result.candidates]
    cut = [c.finish == "length" for c in result.candidates]
    unread = [c.ok and c.answer is None for c in result.candidates]
    flawed = map(any, zip(failed, cut, unread, strict=True))
    return {"failed": sum(failed), "cut": sum(cut), "unread": sum(unread), "flawed": sum(flawed)}


def _level(problem: Problem) -> float | None:
    """Return the declared difficulty: the number in the metadata's "level" or "difficulty" ("Level 5" is 5)."""
    declared = problem.task.metadata.get("level", problem.task.metadata.get("difficulty"))
    if isinstance(declared, str):
        found = re.search(r"\d+(\.\d+)?", declared)
        declared = float(found[0]) if found else None
    return float(declared) if isinstance(declared, int | float) else None
