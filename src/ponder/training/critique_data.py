"""Make data for a critique model: flawed solutions with a known first error, critiques of them, and those that help.

Source: Xi et al. 2024, arXiv:2411.16579 (AutoMathCritique, card 12 B and the data part of C). An actor samples
solutions; wrong ones are kept as they are, right ones are given a wrong ending, by sampling it at a higher temperature
or by asking for a mistake; a strong critic that is told what is known writes a critique of each; one that agrees with
what is known and makes the actor right often enough is kept, and with it the actor's honest refinements.
Differs: numbers and ways of making flaws are reconstructed (see `numerics.critique_data`); a resampled ending counts as
wrong from its first step on, which is not certain; the shortcut barrier compares with a right sample of the question,
where there is one, because tasks hold a reference answer and no reference solution.
Cost: `samples` calls of the policy, one for each resampled ending, and `refinements` for each critique of a wrong
solution; one call of the role "critic" for each asked-for ending and each solution.
Needs: tasks with references; continuation of a prefix, unless `resampled` is 0; a critic stronger than the actor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from string import Template

from ponder.core.access import Access
from ponder.core.context import Context
from ponder.core.errors import ConfigError, Interrupted
from ponder.core.model import Model, Request, Sampling
from ponder.core.result import Result
from ponder.core.seeds import derive
from ponder.core.solve import Control
from ponder.core.store import Store
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.engines.sample import sample
from ponder.numerics.critique_data import (
    FlawedSolution,
    Refined,
    filter_refinements,
    flawed_from_resample,
    flawed_from_sample,
    keep_critique,
    soft_filter,
    solution_steps,
)
from ponder.tasks.problem import Problem
from ponder.training._grader import Grade
from ponder.training._task_by_task import Asking, each_task, texts
from ponder.training.critique_records import CritiqueItem, TaskCritiques
from ponder.verifiers._shown import request_text
from ponder.verifiers.critique import critique_chat, read_critique

__all__ = ["LAW", "MISTAKES", "CritiqueData", "make_critiques"]

LAW = Sampling(temperature=0.7)
MISTAKES = (
    "a slip in the arithmetic",
    "a wrong sign",
    "a number that the question gives is taken wrongly",
    "a condition of the question is left out",
    "the wrong operation",
    "a quantity other than the one that is asked for is worked out",
)


@dataclass(frozen=True, kw_only=True)
class CritiqueData:
    """How much is made of each question.

    Attributes:
        samples: solutions sampled, >= 1.
        resampled: new endings of right solutions at a higher temperature, >= 0.
        inserted: new endings of right solutions with a mistake that is asked for, >= 0.
        hotter: temperature of the resampled endings, > 0.
        refinements: of each wrong solution on its critique, >= 1.
        tau: least share of them that is right, in [0, 1].
        critic_tokens: most tokens of a critique, >= 1.
    """

    samples: int = 4
    resampled: int = 1
    inserted: int = 1
    hotter: float = 1.2
    refinements: int = 10
    tau: float = 0.3
    critic_tokens: int = 1536

    def __post_init__(self) -> None:
        if self.samples < 1 or self.resampled < 0 or self.inserted < 0 or self.critic_tokens < 1:
            raise ConfigError("needs samples and critic_tokens >= 1, resampled and inserted >= 0")
        if self.refinements < 1 or not 0 <= self.tau <= 1 or not self.hotter > 0:
            raise ConfigError("needs refinements >= 1, tau in [0, 1] and hotter > 0")


async def make_critiques(
    model: Model,
    problems: Sequence[Problem],
    settings: CritiqueData | None = None,
    *,
    critic: Model | None = None,
    sampling: Sampling = LAW,
    seed: int = 0,
    store: Store | None = None,
    control: Control | None = None,
    progress: Callable[[int, int], None] | None = None,
    file: Path | None = None,
) -> list[TaskCritiques]:
    """Make the data of each problem, one after another; every call is metered.

    Args:
        model: the actor.
        problems: with references.
        settings: how much.
        critic: writes critiques and mistakes; by default the model, which is weak.
        sampling: law of solutions and refinements.
        seed: of all draws.
        store: response store: a run that was broken off resumes from it.
        control: ends it early, with the problems that are done by then.
        progress: called with (problems done, all of them).
        file: JSON lines, one for each problem, written as soon as it is done.

    Raises:
        BadInput: a problem without a reference that can be read; nothing was spent.
        AccessDenied: the actor cannot continue a given beginning; nothing was spent.
    """
    settings = settings or CritiqueData()

    def record(problem: Problem, run: _Making, result: Result) -> TaskCritiques:
        return TaskCritiques(
            task=problem.task.id,
            prompt=request_text(problem.task),
            items=tuple(run.items) if result.stopped == "done" else (),
            usage=result.usage,
            paid=result.paid,
            stopped=result.stopped,
        )

    roles = {"critic": critic or model}
    return await each_task(
        problems,
        Asking(model=model, roles=roles, sampling=sampling, seed=seed, store=store, control=control),
        lambda problem, right: _Making(settings, str(problem.reference), right),
        record,
        progress=progress,
        file=file,
    )


@dataclass(frozen=True)
class _Solution:
    """A solution that is to be criticised."""

    steps: tuple[str, ...]
    how: str
    right: bool
    first_error: int | None = None
    hint: str = ""

    @property
    def text(self) -> str:
        return "\n".join(self.steps)


class _Making:
    """The making of one task's data as a method, so that it runs under a meter. Unlike a method it is told the answer.

    It is made for one run and holds its outcome.
    """

    def __init__(self, settings: CritiqueData, reference: str, right: Grade) -> None:
        self.settings, self.reference, self.right = settings, reference, right
        self.items: list[CritiqueItem] = []

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        s = self.settings
        solutions = s.samples + s.resampled + s.inserted
        return {"policy": s.samples + s.resampled + solutions * s.refinements, "critic": s.inserted + solutions}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample, spoil, criticise, refine, filter."""
        if self.settings.resampled:
            ctx.model().require(Access.PREFIX, what="resampling the end of a solution")
        drawn = await sample(task, ctx, n=self.settings.samples)
        if drawn.stopped != "done":
            return ctx.result(drawn.candidates, best=None, stopped=drawn.stopped, detail=drawn.detail)
        try:
            solutions = await self._solutions(task, ctx, [c.text for c in drawn.candidates if c.complete])
            barrier = next((one.text for one in solutions if one.right), None)
            work = [partial(self._item, task, ctx, one, at, barrier) for at, one in enumerate(solutions)]
            self.items = await gather_all(work)
        except Interrupted as why:
            return ctx.result(drawn.candidates, best=None, stopped=why.reason, detail=str(why))
        return ctx.result(drawn.candidates, best=None)

    async def _solutions(self, task: Task, ctx: Context, texts: Sequence[str]) -> list[_Solution]:
        """Return the distinct solutions, right ones included, in the order in which they were made."""
        found: list[_Solution] = []
        for text in texts:
            right = await self.right(text)
            if right and (steps := solution_steps(text)):
                found.append(_Solution(steps, "sampled", True))
            elif (flawed := flawed_from_sample(text, correct=right)) is not None:
                found.append(_flawed(flawed))
        sources = list(dict.fromkeys(one.steps for one in found if one.right and len(one.steps) > 1))
        spoil = [partial(self._resample, task, ctx, number) for number in range(self.settings.resampled)]
        spoil += [partial(self._insert, task, ctx, number) for number in range(self.settings.inserted)]
        if sources:
            made = await gather_all([partial(make, sources[at % len(sources)]) for at, make in enumerate(spoil)])
            found += [_flawed(flawed) for flawed in made if flawed is not None]
        return list({one.steps: one for one in reversed(found)}.values())[::-1]

    async def _resample(self, task: Task, ctx: Context, number: int, steps: Sequence[str]) -> FlawedSolution | None:
        """Write the end of a right solution anew, hotter."""
        kept = steps[: derive(ctx.seed, "critique_data", task.id, "resample", number).randrange(1, len(steps))]
        law = replace(ctx.sampling, temperature=self.settings.hotter)
        beginning = "\n".join(kept) + "\n"
        request = Request(messages=task.messages, prefix=beginning, sampling=law)
        rest = await _text(ctx, "policy", request, ("resample", task.id, number))
        correct = rest is not None and await self.right(beginning + rest)
        return None if rest is None else flawed_from_resample(kept, rest, correct=correct)

    async def _insert(self, task: Task, ctx: Context, number: int, steps: Sequence[str]) -> FlawedSolution | None:
        """Ask for the end of a right solution with a mistake."""
        stream = derive(ctx.seed, "critique_data", task.id, "insert", number)
        kept, mistake = steps[: stream.randrange(1, len(steps))], stream.choice(MISTAKES)
        beginning = "\n".join(kept)
        asked = _prompt("insert_mistake").substitute(question=request_text(task), beginning=beginning, mistake=mistake)
        request = Request(messages=(Message("user", asked),), sampling=ctx.sampling)
        rest = await _text(ctx, "critic", request, ("insert", task.id, number))
        correct = rest is not None and await self.right(f"{beginning}\n{rest}")
        return None if rest is None else flawed_from_resample(kept, rest, correct=correct, how="inserted", hint=mistake)

    async def _item(self, task: Task, ctx: Context, one: _Solution, number: int, barrier: str | None) -> CritiqueItem:
        """Criticise a solution and say whether the critique is worth learning from."""
        (message,) = critique_chat(task, one.text)
        known = _prompt("critique_hint").substitute(known=self._known(one))
        request = Request(
            messages=(replace(message, text=message.text + known),),
            sampling=Sampling(temperature=0.0, top_p=1.0, max_tokens=self.settings.critic_tokens),
        )
        critique = await _text(ctx, "critic", request, ("annotate", task.id, number))
        item = CritiqueItem(
            solution=one.text,
            how=one.how,
            right=one.right,
            first_error=one.first_error,
            hint=one.hint,
            critique=critique,
        )
        if critique is None:
            return replace(item, dropped="the critic failed")
        reading = read_critique(critique)
        labels = reading.labels_of(one.steps)
        item = replace(item, labels=tuple(labels), verdict=reading.verdict)
        if not keep_critique(labels, reading.verdict, solution_correct=one.right, first_error=one.first_error):
            return replace(item, dropped="unreadable, or against what is known")
        if one.right:
            return item
        refined = await self._refine(task, ctx, one.text, critique, number)
        if not refined:
            return replace(item, dropped="every refinement failed")
        fixed = [await self.right(text) for text in refined]
        made = [
            Refined(question=task.id, original=one.text, critique=critique, solution=text, correct=correct)
            for text, correct in zip(refined, fixed, strict=True)
        ]
        kept = filter_refinements(made, one.text if barrier is None else barrier)
        helps = soft_filter(sum(fixed), len(fixed), self.settings.tau)
        return replace(
            item,
            refined=len(fixed),
            fixed=sum(fixed),
            refinements=tuple(found.solution for found in kept),
            dropped="" if helps else "too few refinements are right",
        )

    async def _refine(self, task: Task, ctx: Context, solution: str, critique: str, number: int) -> list[str]:
        template = files("ponder.strategies").joinpath("prompts/critique_refine.md").read_text(encoding="utf-8")
        asked = Message("user", Template(template).substitute(critique=critique))
        request = Request(
            messages=(*task.messages, Message("assistant", solution), asked),
            sampling=ctx.sampling,
            n=self.settings.refinements,
        )
        return await texts(ctx, "policy", request, ("refine", task.id, number))

    def _known(self, one: _Solution) -> str:
        if one.right:
            return "it is right in every step, and so is its final answer."
        known = f"its final answer is wrong; the right one is {self.reference}."
        if one.first_error is not None:
            known += f" Step {one.first_error} is the first wrong one."
        return f"{known} The mistake: {one.hint}." if one.hint else known


def _flawed(found: FlawedSolution) -> _Solution:
    return _Solution(found.steps, found.how, False, found.first_error, found.hint)


async def _text(ctx: Context, role: str, request: Request, path: Sequence[str | int]) -> str | None:
    """Return what one call writes, None where it fails.

    Raises:
        Interrupted: the run ended.
    """
    return next(iter(await texts(ctx, role, request, path)), None)


def _prompt(name: str) -> Template:
    return Template(files("ponder.training").joinpath(f"prompts/{name}.md").read_text(encoding="utf-8"))
