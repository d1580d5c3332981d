"""Label the steps of sampled solutions by the progress they make, measured with roll-outs: data for a step verifier.

Source: Zhao et al. 2025, arXiv:2504.00891, and `math_shepherd_ray.py` of its released code (card 57 D): solutions are
sampled until half of those wanted are right and half wrong, each prefix is completed K times, and a step is good where
the share of right completions after it is at least eps times the share before it (relative progress estimation); then
a judge's verdicts may be asked for, and solutions where they differ from the labels are marked.
Differs: K follows the pass rate (32, 64 or 128), as the paper's list says, where the released call passes the number of
samples; sampling ends with the sample that completes both halves, not with its batch, and not before `least`; a prefix
that solutions share is completed once; the judge is the verifier `gen_prm`, whose texts are the rationales, and not a
larger model that names the first wrong step.
Cost: for each task up to `tries` calls of the policy, K completions of the question, K of each step but the last of
each kept solution (role "completer"), and the judge's own.
Needs: tasks with references; a completer that continues an exact prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import ConfigError, Interrupted
from ponder.core.model import Model, Request, Sampling
from ponder.core.result import Result
from ponder.core.solve import Control
from ponder.core.store import Store
from ponder.core.task import Task
from ponder.core.tasks import gather_all
from ponder.engines.sample import sample
from ponder.numerics.progress_labels import completions_for, first_error, hard_labels, progress_labels, rollout_value
from ponder.tasks.problem import Problem
from ponder.training._grader import Grade
from ponder.training._task_by_task import Asking, each_task, texts
from ponder.training.step_records import LabelledSolution, Outcome, TaskLabels
from ponder.verifiers._steps import split_steps
from ponder.verifiers.gen_prm import GenPRM

__all__ = ["LAW", "StepLabels", "label_steps"]

LAW = Sampling(temperature=0.7)


@dataclass(frozen=True, kw_only=True)
class StepLabels:
    r"""How solutions are drawn and labelled.

    Attributes:
        paths: solutions kept of each task, >= 2: half of them right, half wrong, as far as there are.
        least, tries: fewest and most that are sampled for them, 1 <= least <= tries.
        k: completions of each prefix, >= 1; 0 for 32, 64 or 128 by the pass rate of the samples.
        eps: least progress of a good step, >= 0.
        delimiter: text that ends a step.
        depth: solutions with more steps are left out, >= 2; so are those with one.
        together: samples in flight at once, >= 1.
    """

    paths: int = 4
    least: int = 32
    tries: int = 158
    k: int = 0
    eps: float = 0.8
    delimiter: str = "\n\n"
    depth: int = 40
    together: int = 16

    def __post_init__(self) -> None:
        if self.paths < 2 or not 1 <= self.least <= self.tries or self.together < 1:
            raise ConfigError("needs paths >= 2, 1 <= least <= tries and together >= 1")
        if self.k < 0 or not self.eps >= 0 or self.depth < 2 or not self.delimiter:
            raise ConfigError("needs k >= 0, eps >= 0, depth >= 2 and a delimiter")


async def label_steps(
    model: Model,
    problems: Sequence[Problem],
    settings: StepLabels | None = None,
    *,
    completer: Model | None = None,
    judge: GenPRM | None = None,
    judge_model: Model | None = None,
    sampling: Sampling = LAW,
    seed: int = 0,
    store: Store | None = None,
    control: Control | None = None,
    progress: Callable[[int, int], None] | None = None,
    file: Path | None = None,
) -> list[TaskLabels]:
    """Label solutions of each problem, one after another; every call is metered.

    Args:
        model: samples the solutions.
        problems: with references.
        settings: how.
        completer: completes the prefixes; by default the model.
        judge: gives verdicts to compare the labels with.
        judge_model: what it asks; by default the model.
        sampling: law of solutions and completions.
        seed: of all draws.
        store: response store: a labelling that was broken off resumes from it.
        control: ends it early, with the problems that are done by then.
        progress: called with (problems done, all of them).
        file: JSON lines, one for each problem, written as soon as it is done.

    Raises:
        BadInput: a problem without a reference that can be read; nothing was spent.
        AccessDenied: the completer cannot continue a given beginning; nothing was spent.
        MissingExtra: the judge cannot run code here; nothing was spent.
    """
    settings = settings or StepLabels()
    roles = {"completer": completer or model, **({} if judge_model is None else {"judge": judge_model})}

    def record(problem: Problem, run: _Labelling, result: Result) -> TaskLabels:
        whole, found = result.stopped == "done", run.found
        return TaskLabels(
            task=problem.task.id,
            prompt=problem.task.prompt,
            outcome=found.outcome if whole else "ended",
            pass_rate=found.pass_rate,
            root=found.root,
            eps=settings.eps,
            solutions=tuple(found.solutions) if whole else (),
            usage=result.usage,
            paid=result.paid,
            stopped=result.stopped,
        )

    return await each_task(
        problems,
        Asking(model=model, roles=roles, sampling=sampling, seed=seed, store=store, control=control),
        lambda _, right: _Labelling(settings, judge, right),
        record,
        progress=progress,
        file=file,
    )


@dataclass
class _Found:
    """What a labelling has so far."""

    outcome: Outcome = "ended"
    pass_rate: float | None = None
    root: float | None = None
    solutions: list[LabelledSolution] = field(default_factory=list)


class _Labelling:
    """The labelling of one task as a method, so that it runs under a meter. Unlike a method it is told what is right.

    It is made for one run and holds its outcome.
    """

    def __init__(self, settings: StepLabels, judge: GenPRM | None, right: Grade) -> None:
        self.settings, self.judge, self.right = settings, judge, right
        self.found = _Found()

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        s = self.settings
        completions = (s.k or completions_for(0)) * (1 + s.paths * (s.depth - 1))
        most = {"policy": s.tries, "completer": completions}
        return most if self.judge is None else most | {"judge": s.paths * s.depth * self.judge.calls_a_step()}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample, choose, complete, label."""
        ctx.model("completer").require(Access.PREFIX, what="labels from roll-outs")
        if self.judge is not None:
            self.judge.check(ctx)
        grades: dict[str, bool] = {}

        async def enough(candidates: Sequence[Candidate]) -> bool:
            newest = candidates[-1]
            if self._usable(newest):
                grades[newest.text] = await self.right(newest.text)
            kept = [grades[c.text] for c in candidates if self._usable(c)]
            half = self.settings.paths // 2
            return len(candidates) >= self.settings.least and min(kept.count(True), kept.count(False)) >= half

        s = self.settings
        drawn = await sample(task, ctx, n=s.tries, enough=enough, ahead=s.together)
        usable = [candidate for candidate in drawn.candidates if self._usable(candidate)]
        right = [grades[candidate.text] for candidate in usable]
        self.found.pass_rate = rollout_value(right)
        chosen = [*_first(usable, right, True, s.paths // 2), *_first(usable, right, False, s.paths - s.paths // 2)]
        if drawn.stopped != "done":
            return ctx.result(drawn.candidates, best=None, stopped=drawn.stopped, detail=drawn.detail)
        if not usable or len({*right}) == 1:
            self.found.outcome = "unusable" if not usable else "easy" if right[0] else "hard"
            return ctx.result(drawn.candidates, best=None)
        try:
            await self._label(task, ctx, [self._steps(candidate) for candidate in chosen], grades)
        except Interrupted as why:
            return ctx.result(drawn.candidates, best=None, stopped=why.reason, detail=str(why))
        return ctx.result(drawn.candidates, best=None)

    async def _label(
        self, task: Task, ctx: Context, solutions: Sequence[tuple[str, ...]], grades: Mapping[str, bool]
    ) -> None:
        """Complete the question and every prefix, then label and judge."""
        assert self.found.pass_rate is not None
        k = self.settings.k or completions_for(self.found.pass_rate)
        (root,) = await self._values(task, ctx, [""], k)
        self.found.root = rollout_value(root)
        if not self.found.root:
            self.found.outcome = "unreached"
            return
        prefixes = list(dict.fromkeys("".join(steps[:at]) for steps in solutions for at in range(1, len(steps))))
        graded = dict(zip(prefixes, await self._values(task, ctx, prefixes, k), strict=True))
        for steps in solutions:
            right = grades["".join(steps)]
            kinds = [*(graded["".join(steps[:at])] for at in range(1, len(steps))), [right]]
            values = [value for kind in kinds if (value := rollout_value(kind)) is not None]
            if len(values) < len(steps):
                continue  # a prefix that every completion failed of
            made = progress_labels(self.found.root, values, eps=self.settings.eps)
            self.found.solutions.append(
                LabelledSolution(
                    steps=steps,
                    right=right,
                    values=tuple(values),
                    rollouts=tuple(map(len, kinds)),
                    progress=tuple(made.progress),
                    labels=tuple(made.labels),
                    hard=tuple(hard_labels(values)),
                    **await self._verdicts(task, ctx, steps),
                )
            )
        self.found.outcome = "labelled"

    async def _values(self, task: Task, ctx: Context, prefixes: Sequence[str], k: int) -> list[list[bool]]:
        """Return for each prefix which of its completions are right; failed calls are none.

        Raises:
            Interrupted: the run ended before all were had.
        """
        asked = [partial(self._complete, task, ctx, prefix, k, at) for at, prefix in enumerate(prefixes)]
        return [[await self.right(text) for text in texts] for texts in await gather_all(asked)]

    async def _complete(self, task: Task, ctx: Context, prefix: str, k: int, number: int) -> list[str]:
        path = ("label", task.id, number) if prefix else ("label", task.id, "root")
        request = Request(messages=task.messages, prefix=prefix, n=k, sampling=ctx.sampling)
        return [prefix + text for text in await texts(ctx, "completer", request, path)]

    async def _verdicts(self, task: Task, ctx: Context, steps: Sequence[str]) -> dict[str, Any]:
        if self.judge is None:
            return {}
        verified = await self.judge.verify_solution(task, [step.strip() for step in steps], ctx)
        if verified.ended is not None:
            raise verified.ended
        said: list[int | None] = [int(first_error([reward]) is None) for reward in verified.rewards]
        return {
            "verdicts": tuple(said + [None] * (len(steps) - len(said))),
            "rationales": verified.texts,
        }

    def _steps(self, candidate: Candidate) -> tuple[str, ...]:
        return split_steps(candidate.text, self.settings.delimiter)

    def _usable(self, candidate: Candidate) -> bool:
        """Whether a solution ended by itself and has steps to label."""
        return candidate.complete and 2 <= len(self._steps(candidate)) <= self.settings.depth


def _first(usable: Sequence[Candidate], right: Sequence[bool], wanted: bool, most: int) -> list[Candidate]:
    """Return the first distinct solutions of a kind, at most `most`."""
    kind = {c.text: c for c, grade in zip(reversed(usable), reversed(right), strict=True) if grade == wanted}
    return list(reversed(kind.values()))[:most]
