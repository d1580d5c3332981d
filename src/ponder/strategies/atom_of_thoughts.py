"""Atom of Thoughts: contract the question, step by step, into an easier one with the same answer, and forget the rest.

Paper: Teng et al. 2025, arXiv:2502.12018 (card 62). A question is solved directly and in steps; the steps become
sub-questions with dependencies; those that depend on nothing become facts of a new, shorter question. A judge combines
the direct, the decomposed and the contracted solution; where the contracted one is not the first that agrees with it,
the run ends with the one that is. Else the new question is all that goes on, as many times as the graph is deep.
`inner="best_of_n"` makes it a pre-processor: of several contracted questions the one whose solution agrees with the
judge in the fewest words is handed to that method.
Differs: the depth is the longest path (`depth_rule="shortest"`: as the code, which also makes one transition only:
`parity="released"`, with its scorers and sentinels). Where all agree the run ends, at any state: the card's tie rule
(direct, decomposed, contracted). Dependencies on later questions are asked for again, then dropped. Answers are
compared by the task's type, free text by the F1 of its words. Without a readable graph or question the direct solution
stands.
Cost: 1 + 5 calls a transition (steps, label, contract, solve, judge); as a pre-processor 4 a sample and 2, and then
what the inner method costs. Needs: nothing beyond text.
When: questions of several steps that a model solves better once part of them is done.
When not: models too weak to keep the question's meaning: nothing but the judge guards it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, NamedTuple, cast

from ponder.core import registry
from ponder.core.access import Access
from ponder.core.budget import ADDITIVE
from ponder.core.candidate import Candidate
from ponder.core.context import Context, Method
from ponder.core.errors import BadInput, ConfigError, Interrupted
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.engines.asking import Outcome, affords, ask_readable, call, numbered, prompts
from ponder.engines.refine import with_question
from ponder.engines.replies import repeats
from ponder.engines.task_graph import conclude_graph
from ponder.numerics import graphs
from ponder.numerics.atomic import (
    choose_solution,
    choose_state,
    released_choice,
    released_math,
    token_f1,
)
from ponder.strategies._questions import LABELS, read_contracted, read_questions

__all__ = ["AtomOfThoughts"]

_CALLS = 5  # of a transition: steps, label, contract, solve, judge


class _State(NamedTuple):
    """A question on its way: what was found of it.

    Attributes:
        task: the contracted one, or None where there is none.
        decomposed, contracted: solutions.
        ended: why the run is to end.
        note: what the result says.
        depth: of the graph, for the number of transitions.
    """

    task: Task | None = None
    decomposed: Outcome = Outcome()
    contracted: Outcome = Outcome()
    ended: Interrupted | None = None
    note: str = ""
    depth: int = 0

    def parts(self) -> list[Candidate]:
        """The solutions that there are, oldest first."""
        return [o.candidate for o in (self.decomposed, self.contracted) if o.candidate is not None]


@strategies(
    "atom_of_thoughts",
    card=62,
    paper="arXiv:2502.12018",
    fidelity="paper",
    tags={
        "what": ("sequential", "hybrid"),
        "how": ("prompting", "revision", "fusion"),
        "where": ("reasoning", "math", "general"),
        "how_well": ("accuracy",),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class AtomOfThoughts:
    """Contraction of a question, alone or in front of another method.

    Attributes:
        transitions: most contractions, >= 0; 0 is one direct solution.
        depth_rule: of the graph, which bounds the transitions: its "longest" path, or the code's "shortest" rule.
        parity: "released" makes one transition and scores as the code does.
        inner: registered method that gets the contracted question; empty for none.
        inner_settings: of it.
        samples: contracted questions to choose from, >= 1, where there is an inner method.
        repairs: how often a graph or question that cannot be read is asked for again, >= 0.
    """

    transitions: int = 3
    depth_rule: Literal["longest", "shortest"] = "longest"
    parity: Literal["paper", "released"] = "paper"
    inner: str = ""
    inner_settings: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 3
    repairs: int = 2

    def __post_init__(self) -> None:
        if self.transitions < 0 or self.samples < 1 or self.repairs < 0:
            raise ConfigError("needs transitions >= 0, samples >= 1 and repairs >= 0")
        if self.depth_rule not in ("longest", "shortest") or self.parity not in ("paper", "released"):
            raise ConfigError(f"no depth_rule {self.depth_rule!r} with parity={self.parity!r}")
        if self.inner == "atom_of_thoughts":
            raise ConfigError("inner is another method")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        times = (
            self.samples if self.inner else min(self.transitions, 1 if self.parity == "released" else self.transitions)
        )
        most = {"policy": 1 + 2 * times, "planner": 2 * times * (1 + self.repairs), "judge": 1 if self.inner else times}
        if self.inner:
            for role, count in self._inner().calls().items():
                most[role] = most.get(role, 0) + count
        return {role: count for role, count in most.items() if count}

    def access(self) -> frozenset[Access]:
        """What the inner method needs of the model."""
        own = getattr(self._inner(), "access", None) if self.inner else None
        declared = registry.strategies.get(self.inner).access if self.inner else frozenset({Access.TEXT})
        return cast(frozenset[Access], own()) if own is not None else declared

    def needs(self) -> tuple[str, ...]:
        """What else the inner method needs."""
        return registry.strategies.get(self.inner).needs if self.inner else ()

    def _inner(self) -> Method:
        return cast(Method, registry.strategies.get(self.inner).make(**self.inner_settings))

    async def run(self, task: Task, ctx: Context) -> Result:
        """Walk the chain of questions, or prepare one for the inner method."""
        return await (self._prepare(task, ctx) if self.inner else self._walk(task, ctx))

    async def _walk(self, task: Task, ctx: Context) -> Result:
        """Contract until the judge prefers another solution or the depth is reached."""
        answers = ctx.answers(task)
        direct = await self._solve(task, ctx, 0)
        parts = [direct.candidate] if direct.candidate is not None else []
        chosen, ended, notes = direct, direct.ended, list[str]()
        limit = 1 if self.parity == "released" else self.transitions
        at, state_task = 0, task
        most = min(self.transitions, limit)
        while ended is None and at < most:
            if not affords(ctx, _CALLS):
                notes.append(f"the budget leaves no transition after {at}")
                break
            state = await self._transition(state_task, ctx, ("atom", task.id, at), at + 1)
            parts += state.parts()
            ended = state.ended
            if at == 0:
                most = min(most, max(1, state.depth))
            if ended is None and state.task is not None:
                three = (chosen, state.decomposed, state.contracted)
                best, judged = await self._judge(state_task, ctx, three, ("atom", task.id, at))
                ended = judged.ended
                ctx.trace.instant("transition", ctx.span, state=at, chosen=("direct", "decompose", "contract")[best])
                chosen = three[best]
                at, state_task = at + 1, state.task
                if best == 2:
                    continue
            elif state.note:
                notes.append(f"{state.note}, so the chain ends after {at} contractions")
            break
        kept = [replace(part, answer=answers.extract(part.text) if part.ok else None) for part in numbered(parts)]
        if ended is not None or chosen.candidate is None or not chosen.text:
            usable = [part for part in kept if part.ok and part.finish != "cancelled"]
            last = usable[0] if usable else None
            rest = [part for part in kept if part is not last]
            return conclude_graph(task, ctx, rest, last, ended=ended, notes=notes)
        best_at = next(k for k, part in enumerate(parts) if part is chosen.candidate)
        return ctx.result(kept, best=best_at, detail="; ".join(notes))

    async def _solve(self, task: Task, ctx: Context, state: int) -> Outcome:
        """Solve a question as it stands: the first sample of the task, as other methods draw it."""
        return await call(ctx, task.messages, path=("sample", task.id), state=state, way="direct")

    async def _transition(self, task: Task, ctx: Context, path: tuple[str | int, ...], state: int) -> _State:
        """Solve in steps, label them, contract, and solve the new question; nothing older than `task` is shown."""
        texts = prompts(__package__, "atom_of_thoughts")
        chat = with_question(task, texts["multistep"].substitute(question=task.prompt))
        steps = await call(ctx, chat, path=(*path, "steps"), state=state - 1, way="decompose")
        if steps.ended is not None or not steps.text:
            return _State(decomposed=steps, ended=steps.ended, note="no solution in steps came back")
        asking: dict[str, Any] = {"role": "planner", "repairs": self.repairs, "keep": 1}
        asking["law"] = replace(ctx.sampling, stop=())
        label = texts["label"].substitute(question=task.prompt, solution=steps.text)
        asked = await ask_readable(
            ctx, [Message("user", label)], read_questions, path=(*path, "label"), schema=LABELS, **asking
        )
        nodes = asked.value
        if nodes is None:
            try:
                nodes = read_questions(asked.text, lenient=True)
                if repeats(asked.text, label):
                    raise BadInput("it only repeats the example of the form")
            except BadInput as err:
                return _State(decomposed=steps, ended=asked.ended, note=f"no graph could be read ({err})")
        depends = [node.depends for node in nodes]
        depth = graphs.depth(depends) if self.depth_rule == "longest" else graphs.released_depth(depends)
        ctx.trace.instant("graph", ctx.span, depends=[list(d) for d in depends], depth=depth, flat=asked.value is None)
        contract = texts["contract"].substitute(
            question=task.prompt,
            solution=steps.text,
            known="\n".join(f"- {n.question} {n.answer}" for n in nodes if not n.depends),
            open="\n".join(f"- {n.question}" for n in nodes if n.depends) or "- nothing but the answer itself",
        )
        new = await ask_readable(ctx, [Message("user", contract)], read_contracted, path=(*path, "contract"), **asking)
        if new.value is None:
            return _State(decomposed=steps, ended=new.ended, note="no contracted question could be read", depth=depth)
        name = f"{path[1]}/{'-'.join(map(str, path[2:]))}"
        following = Task(messages=with_question(task, new.value), answer=task.answer, id=name)
        solved = await call(ctx, following.messages, path=("sample", name), state=state, way="contract")
        note = "" if solved.text else "the contracted question was not solved"
        return _State(following if solved.text else None, steps, solved, solved.ended, note, depth)

    async def _judge(
        self, task: Task, ctx: Context, solutions: Sequence[Outcome], path: tuple[str | int, ...]
    ) -> tuple[int, Outcome]:
        """Return which of the solutions agrees best with the judge's; the first one where the judge says nothing."""
        scores, judged = await self._agreement(task, ctx, solutions, path)
        return (choose_solution(scores) if scores else 0), judged

    async def _agreement(
        self, task: Task, ctx: Context, solutions: Sequence[Outcome], path: tuple[str | int, ...]
    ) -> tuple[list[float], Outcome]:
        """Ask the judge for the best answer given all solutions, and score each by it; empty without a judge."""
        shown = "\n\n".join(f"Solution {k}:\n{solution.text}" for k, solution in enumerate(solutions, 1))
        text = prompts(__package__, "atom_of_thoughts")["ensemble"].substitute(question=task.prompt, solutions=shown)
        law = replace(ctx.sampling, stop=())
        judged = await call(ctx, with_question(task, text), path=(*path, "ensemble"), role="judge", law=law)
        if judged.ended is not None or not judged.text:
            return [], judged
        answers = ctx.answers(task)
        wanted = answers.extract(judged.text)
        found = [answers.extract(solution.text) for solution in solutions]
        return [await self._score(task, ctx, answer, wanted) for answer in found], judged

    async def _score(self, task: Task, ctx: Context, answer: str | None, wanted: str | None) -> float:
        if self.parity == "released" and task.answer in ("number", "math"):
            return float(released_math(answer, wanted))
        if self.parity == "released" and task.answer == "choice":
            return float(released_choice(answer, wanted))
        if answer is None or wanted is None:
            return 0.0
        if task.answer == "text":
            return token_f1(answer, wanted)
        return float(await ctx.answers(task).same(wanted, answer))

    async def _prepare(self, task: Task, ctx: Context) -> Result:
        """Contract several times, choose one of the questions, and run the inner method on it."""
        direct = await self._solve(task, ctx, 0)
        states: list[_State] = []
        notes: list[str] = []
        ended = direct.ended
        # All together only where all of them are sure to be admitted, so that the order of replies decides nothing.
        many = self.samples * (2 * (1 + self.repairs) + 2) + 1
        together = self.samples if ctx.meter.left("calls") >= many and not _other_limits(ctx) else 1
        for first in range(0, self.samples, together):
            if ended is not None or not affords(ctx, _CALLS + 1):
                break
            asked = [
                partial(self._transition, task, ctx, ("atom", task.id, "sample", k), 1)
                for k in range(first, min(first + together, self.samples))
            ]
            states += await gather_all(asked)
            ended = next((state.ended for state in states if state.ended is not None), None)
        usable = [state for state in states if state.task is not None]
        question = task
        if ended is None and usable:
            solutions = [direct, *(state.contracted for state in usable)]
            scores, judged = await self._agreement(task, ctx, solutions, ("atom", task.id, "all"))
            ended = judged.ended
            words = [len(state.contracted.text.split()) for state in usable]
            at = choose_state(scores[1:] or [0.0] * len(usable), words)
            question = usable[at].task or task
            ctx.trace.instant("contracted", ctx.span, chosen=at, scores=scores[1:], words=words)
        elif ended is None:
            notes.append("no contracted question: the inner method gets the question itself")
        before = [part for state in states for part in state.parts()]
        parts = [replace(p, answer=None) for p in ([direct.candidate] if direct.candidate else []) + before]
        if ended is not None:
            final = parts.pop(0) if parts else None
            return conclude_graph(task, ctx, parts, final, ended=ended, notes=notes)
        inner = await ctx.run(self.inner, question, **self.inner_settings)
        kept = numbered([*parts, *inner.candidates])
        best = None if inner.chosen is None else len(parts) + inner.chosen
        answer = inner.answer
        if best is None and direct.text:
            best, notes = 0, [*notes, "the inner method gave no answer: the direct solution"]
            kept[0] = replace(kept[0], answer=ctx.answers(task).extract(kept[0].text))
            answer = kept[0].answer
        detail = "; ".join(note for note in (*notes, inner.detail) if note)
        return ctx.result(kept, best=best, answer=answer, stopped=inner.stopped, detail=detail)


def _other_limits(ctx: Context) -> bool:
    """Return whether there is a limit on anything but calls."""
    return any(ctx.meter.left(unit) != math.inf for unit in ADDITIVE if unit != "calls")
