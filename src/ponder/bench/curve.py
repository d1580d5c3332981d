"""Run the points of a scaling curve on one problem and grade them.

The point with the most samples runs first, so that its samples go out together; the smaller points and the other
methods under the same sampling law find theirs in the response store, so a whole curve pays for its largest point.
A consequence: the clock of a smaller point shows nothing. Its seconds are stated as its tokens at the pace that was
measured on the calls sent for the same problem under the same law, and are marked as not measured.
Source: our own (DESIGN, principle 4). Cost: the largest point. Needs: a response store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ponder._version import __version__
from ponder.bench.rows import Row
from ponder.core import registry
from ponder.core.context import AnswerType
from ponder.core.errors import ConfigError
from ponder.core.model import Model, Sampling
from ponder.core.result import Result, total
from ponder.core.siblings import Progress
from ponder.core.solve import Control, solve
from ponder.core.store import Store
from ponder.planning.difficulty import Evidence
from ponder.tasks.problem import Problem
from ponder.verifiers.compiling import compile_prompt

__all__ = ["Point", "Run", "grade", "run_points"]

_BROKEN_OFF = frozenset({"deadline", "cancelled", "endpoint", "overrun"})


@dataclass(frozen=True, kw_only=True)
class Point:
    """One method configuration to run.

    Attributes:
        curve: name of the curve that it is a point of; the same for points that differ in `n` alone.
        method: registered name.
        settings: of the method.
        verifier: registered name, or None.
        judging: settings of the verifier.
    """

    curve: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    verifier: str | None = None
    judging: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Samples asked for."""
        return int(self.settings.get("n", 1))


@dataclass(frozen=True, kw_only=True)
class Run:
    """One point on one problem: the evidence and its row.

    Attributes:
        problem: what was asked.
        point: what was run.
        result: what came back.
        grades: of each candidate, in the order of `result.candidates`; None where it cannot be graded.
        row: the record.
    """

    problem: Problem
    point: Point
    result: Result
    grades: tuple[bool | None, ...]
    row: Row

    @property
    def broken_off(self) -> bool:
        """Whether the run was ended from outside, so that it is no point of a curve."""
        return self.result.stopped in _BROKEN_OFF


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
    control: Control | None = None,
    progress: Progress | None = None,
) -> list[Run]:
    """Run every point on one problem.

    Args:
        problem: the task with its reference, which only the grader sees.
        points: points of equal n run in the order given.
        model: the policy.
        store: where the points share their samples.
        family: task family, for the rows.
        sampling: the law of the samples.
        seed: of the runs.
        roles: further models by role ("judge", ...).
        control: stops the run from outside.
        progress: called with (span, text, tokens) as tokens stream.

    Returns:
        The runs in the order of `points`; after one that was broken off nothing more is run.

    Raises:
        ConfigError: a point does not fit the model.
    """
    order = sorted(range(len(points)), key=lambda i: -points[i].n)
    runs: dict[int, Run] = {}
    pace = _Pace()
    for index in order:
        point = points[index]
        result = await solve(
            problem.task,
            model=model,
            method=point.method,
            verifier=None if point.verifier is None else registry.verifiers.get(point.verifier).make(**point.judging),
            seed=seed,
            roles=roles,
            sampling=sampling,
            store=store,
            control=control,
            progress=progress,
            **point.settings,
        )
        grades = tuple([await grade(problem, c.answer, c.text) if c.ok else None for c in result.candidates])
        row = _row(problem, point, result, grades, pace.of(result), family=family, model=model, seed=seed)
        row = replace(row, evidence=await _evidence(problem, point, result, grades))
        runs[index] = Run(problem=problem, point=point, result=result, grades=grades, row=row)
        if runs[index].broken_off:
            break
    return [runs[index] for index in sorted(runs)]


async def grade(problem: Problem, answer: str | None, text: str) -> bool | None:
    """Return whether an answer is right; None where the problem has no reference and its prompt states no rule.

    Args:
        problem: with a reference, its answer is compared by the task's answer type; without one, `text` is checked
            against the rules that the prompt states.
        answer: the extracted answer; None is not right.
        text: the whole answer.
    """
    if problem.reference is None:
        rules = compile_prompt(problem.task.prompt)
        return all(rule.check(text) for rule in rules) if rules else None
    kind: AnswerType = registry.answer_types.get(problem.task.answer).make()
    gold = kind.extract(problem.reference)
    if gold is None:
        raise ConfigError(f"the reference {problem.reference!r} is no answer of type {problem.task.answer!r}")
    return answer is not None and await kind.same(answer, gold)


async def _evidence(problem: Problem, point: Point, result: Result, grades: Sequence[bool | None]) -> Evidence:
    kind: AnswerType = registry.answer_types.get(problem.task.answer).make()
    groups = await kind.group([candidate.answer for candidate in result.candidates])
    return Evidence.of(result.candidates, groups=groups, verifier=point.verifier or "", grades=grades)


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


def _row(
    problem: Problem,
    point: Point,
    result: Result,
    grades: Sequence[bool | None],
    time: tuple[float | None, bool],
    *,
    family: str,
    model: Model,
    seed: int,
) -> Row:
    failed = [not c.ok for c in result.candidates]
    cut = [c.finish == "length" for c in result.candidates]
    unread = [c.ok and c.answer is None for c in result.candidates]
    gradable = problem.reference is not None or any(g is not None for g in grades)
    correct = grades[result.chosen] if result.chosen is not None else (False if gradable else None)
    return Row(
        problem=problem.task.id,
        family=family,
        curve=point.curve,
        method=result.method,
        settings=result.settings,
        verifier=point.verifier or "",
        n=point.n,
        answer=result.answer,
        correct=correct,
        grader="constraints" if problem.reference is None else "reference",
        usage=result.usage,
        paid=result.paid,
        candidates=len(result.candidates),
        failed=sum(failed),
        cut=sum(cut),
        unread=sum(unread),
        flawed=sum(map(any, zip(failed, cut, unread, strict=True))),
        seconds=time[0],
        measured=time[1],
        stopped=result.stopped,
        result=result.trace_id,
        model=model.name,
        seed=seed,
        version=__version__,
    )
