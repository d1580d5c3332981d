"""SCALE: solve the easy steps of an outline fast and the hard ones slowly, each with the earlier results in view.

Paper: SCALE, arXiv:2512.00466 (card 38). Several outlines, one of them chosen by the model; each step gets a difficulty
in [0, 1]; above the threshold it is solved slowly (System 2), else fast (System 1); the last step gives the answer.
By default the difficulty of a step is asked when the steps before it have been solved, as the paper says;
`parity="released"` asks for all of them before anything is solved, from the texts of the steps, and sets the last one
to 0.9 whatever was said, as the code does.
Differs: everything that is asked again is bounded: an outline that cannot be read is drawn again, a score becomes 1
(slow), the selection version 1, and the result says so; steps are renumbered. System 1 is the role "small", by default
the same model told to be brief, with `fast_tokens`, and with the model's own switch for thinking (`fast_mark`, such as
"/no_think", or `fast_extra`); System 2 is the policy. Without readable outlines there is one slow step. The final
answer is read by the answer's type.
Cost: 1 to split the problem, outlines + 1, and 2 a step; more with `carry="value"`. That is 2 to 4 times the tokens of
one slow call: the saving is against slower methods. Needs: nothing beyond text; a thinking and a fast way.
When: long mathematical problems of which some steps are hard.
When not: problems of one step; a model whose fast way is no cheaper than its slow one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted
from ponder.core.model import Sampling
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.engines.asking import Asked, Outcome, affords, ask_readable, call, prompts
from ponder.engines.plans import SubTask
from ponder.engines.refine import with_question
from ponder.engines.replies import repeats
from ponder.engines.task_graph import Done, conclude_graph, run_graph
from ponder.numerics.selective import FORCED_LAST, modes
from ponder.strategies._outlines import SPLIT, read_difficulty, read_outline, read_split, read_version

__all__ = ["Scale"]

_SCORE_TOKENS = 64


@strategies(
    "scale",
    card=38,
    paper="arXiv:2512.00466",
    fidelity="paper",
    tags={
        "what": ("sequential", "hybrid"),
        "how": ("prompting", "self-evaluation", "selection"),
        "where": ("math", "reasoning"),
        "how_well": ("accuracy", "efficiency"),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class Scale:
    """Outline, difficulty, and a fast or a slow solution of each step.

    Attributes:
        outlines: drawn to choose from, >= 1; one is taken as it is.
        threshold: in [0, 1]: steps above it are solved slowly. The paper's table is best at 0.2, its code has 0.5.
        parity: "paper" scores a step after solving those before it, "released" all of them first.
        split: ask for the givens and the question, unless the task's metadata have "conditions" and "question".
        pin_last: the question itself takes the place of the last step ("replace") or follows it ("append").
        carry: what later steps see of a solved one: its "text", or its "value", which costs a call more each.
        most: steps that are kept of an outline, >= 1.
        tries: how often an unreadable reply is asked for, >= 1.
        fast_tokens: most tokens of a fast solution, >= 1.
        fast_mark, slow_mark: appended to what is asked: a switch for thinking that the model reads.
        fast_extra, slow_extra: further fields of the request, for a switch that the server reads, such as
            {"chat_template_kwargs": {"enable_thinking": false}}.
        plan_tokens: most tokens of an outline, >= 1.
    """

    outlines: int = 8
    threshold: float = 0.5
    parity: Literal["paper", "released"] = "paper"
    split: bool = True
    pin_last: Literal["replace", "append"] = "replace"
    carry: Literal["text", "value"] = "text"
    most: int = 8
    tries: int = 3
    fast_tokens: int = 512
    fast_mark: str = ""
    slow_mark: str = ""
    fast_extra: Mapping[str, Any] = field(default_factory=dict)
    slow_extra: Mapping[str, Any] = field(default_factory=dict)
    plan_tokens: int = 1024

    def __post_init__(self) -> None:
        if min(self.outlines, self.most, self.tries, self.fast_tokens, self.plan_tokens) < 1:
            raise ConfigError("outlines, most, tries, fast_tokens and plan_tokens must be at least 1")
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"threshold must be in [0, 1], got {self.threshold!r}")
        if self.parity not in ("paper", "released") or self.pin_last not in ("replace", "append"):
            raise ConfigError(f"no parity {self.parity!r} with pin_last={self.pin_last!r}")
        if self.carry not in ("text", "value"):
            raise ConfigError(f"carry is text or value, got {self.carry!r}")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        steps = self.most + (self.pin_last == "append")
        asked = self.split + self.outlines + (self.outlines > 1) + steps
        planner = self.tries * asked + steps * (self.carry == "value")
        return {"policy": steps, "small": steps, "planner": planner}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Split, outline, select, score and solve."""
        return await _Solving(self, task, ctx).run()


class _Solving:
    """One run: what it has found out so far."""

    def __init__(self, method: Scale, task: Task, ctx: Context) -> None:
        self.method, self.task, self.ctx = method, task, ctx
        self.texts = prompts(__package__, "scale")
        self.notes: list[str] = []
        self.conditions = self.question = task.prompt
        self.difficulties: dict[str, float] = {}
        self.values: dict[str, str] = {}

    async def run(self) -> Result:
        ended = await self._split()
        steps, ended = await self._outline() if ended is None else ((), ended)
        nodes = [SubTask(id=str(at), text=step) for at, step in enumerate(steps, 1)]
        plan = [replace(node, depends=tuple(earlier.id for earlier in nodes[:at])) for at, node in enumerate(nodes)]
        if ended is None and self.method.parity == "released":
            ended = await self._score_all(plan)
        if ended is not None:
            return conclude_graph(self.task, self.ctx, [], None, ended=ended, notes=self.notes)
        # A chain: each step needs the ones before it, so the order in which replies come cannot matter.
        done = await run_graph(plan, partial(self._step, plan), self.ctx)
        found = [outcome.candidate for outcome in done.values() if outcome.candidate is not None]
        ended = next((outcome.ended for outcome in done.values() if outcome.ended is not None), None)
        final: Candidate | None = None
        if found and found[-1].metadata.get("node") == plan[-1].id:
            final = found.pop()
        return conclude_graph(self.task, self.ctx, found, final, ended=ended, notes=self.notes)

    async def _ask(self, part: str, name: Sequence[str | int], read: Any, **values: Any) -> Asked[Any]:
        """Ask the planner for something readable; the last call of a budget is kept for the answer."""
        schema = SPLIT if part == "split" else None
        most = _SCORE_TOKENS if part in ("score", "select") else self.method.plan_tokens
        return await ask_readable(
            self.ctx,
            self._chat(self.texts[part].substitute(values), self.method.fast_mark),
            read,
            path=(f"scale-{part}", self.task.id, *name),
            role="planner",
            law=replace(self.ctx.sampling, max_tokens=most, stop=()),
            schema=schema,
            extra=self.method.fast_extra,
            repairs=self.method.tries - 1,
            keep=1,
        )

    def _chat(self, text: str, mark: str) -> tuple[Message, ...]:
        return (Message("user", f"{text} {mark}" if mark else text),)

    async def _split(self) -> Interrupted | None:
        conditions, question = (self.task.metadata.get(name) for name in ("conditions", "question"))
        if isinstance(conditions, str) and isinstance(question, str):
            self.conditions, self.question = conditions, question
            return None
        if not self.method.split:
            return None
        asked = await self._ask("split", (), read_split, problem=self.task.prompt)
        if asked.value is not None:
            self.conditions, self.question = asked.value
        elif asked.ended is None:
            self.notes.append("the problem could not be split: it is given whole")
        return asked.ended

    async def _outline(self) -> tuple[tuple[str, ...], Interrupted | None]:
        """Return the steps: of the outline that is chosen among those that can be read."""
        found: list[tuple[str, ...]] = []
        chat = self._chat(self.texts["outline"].substitute(problem=self.task.prompt), self.method.fast_mark)
        law: Sampling = replace(self.ctx.sampling, max_tokens=self.method.plan_tokens, stop=())
        extra = self.method.fast_extra
        for attempt in range(self.method.tries):
            wanted = range(self.method.outlines - len(found))
            if not wanted or not affords(self.ctx, len(wanted) + 1):
                break
            path = ("scale-outline", self.task.id, attempt)
            drawn = await gather_all(
                [partial(call, self.ctx, chat, path=(*path, k), role="planner", law=law, extra=extra) for k in wanted]
            )
            for outcome in drawn:
                if outcome.ended is not None:
                    return (), outcome.ended
                try:
                    steps = read_outline(outcome.text)
                    if repeats(outcome.text, chat[-1].text):
                        raise BadInput("it only repeats the example of the form")
                    found.append(steps[: self.method.most])
                except BadInput as err:
                    self.ctx.trace.instant("repair", self.ctx.span, path=list(path), fault=str(err))
        if not found:
            self.notes.append("no outline could be read: one slow step")
            return (self.question,), None
        chosen, ended = (0, None) if len(found) == 1 else await self._select(found)
        steps = found[chosen]
        kept = steps[:-1] if self.method.pin_last == "replace" else steps
        self.ctx.trace.instant("outline", self.ctx.span, outlines=len(found), chosen=chosen, steps=list(steps))
        return (*kept, self.question), ended

    async def _select(self, found: Sequence[Sequence[str]]) -> tuple[int, Interrupted | None]:
        versions = "\n\n".join(
            f"version{k}:\n" + "\n".join(f"{at}. {step}" for at, step in enumerate(steps, 1))
            for k, steps in enumerate(found, 1)
        )
        asked = await self._ask(
            "select",
            (),
            lambda text: read_version(text, len(found)),
            problem=self.task.prompt,
            count=len(found),
            versions=versions,
        )
        if asked.value is None:
            self.notes.append("no version was chosen: the first" if asked.ended is None else "")
        return asked.value or 0, asked.ended

    async def _score_all(self, plan: Sequence[SubTask]) -> Interrupted | None:
        """Score every step from the texts of those before it, and set the last to the released value."""
        for at, node in enumerate(plan):
            ended = await self._score(node, "\n".join(f"{n.id}. {n.text}" for n in plan[:at]))
            if ended is not None:
                return ended
        self.difficulties[plan[-1].id] = FORCED_LAST
        return None

    async def _score(self, node: SubTask, before: str) -> Interrupted | None:
        asked = await self._ask(
            "score", (node.id,), read_difficulty, problem=self.task.prompt, before=before or "none", step=node.text
        )
        if asked.value is None and asked.ended is None:
            self.notes.append(f"step {node.id} has no readable difficulty: solved slowly")
        self.difficulties[node.id] = 1.0 if asked.value is None else asked.value
        return asked.ended

    async def _step(self, plan: Sequence[SubTask], node: SubTask, done: Done, sure: bool) -> Outcome:
        """Score a step, unless that was done before, and solve it in its way."""
        last = node.id == plan[-1].id
        if not last and not affords(self.ctx, 2):
            return Outcome()
        wording = {other.id: other.text for other in plan}
        told = "\n".join(
            f"\n{wording[name]}\nstep answer: {self.values.get(name, outcome.text)}"
            for name, outcome in done.items()
            if outcome.text
        )
        if node.id not in self.difficulties and (ended := await self._score(node, told)) is not None:
            return Outcome(ended=ended)
        (way,) = modes([self.difficulties[node.id]], self.method.threshold)
        fast = way == 1
        prompt = self.texts["step"].substitute(
            conditions=self.conditions, done=f"\nDone so far:\n{told}\n" if told else "", step=node.text
        )
        manner = self.texts["fast" if fast else "slow"].template
        chat = with_question(self.task, self._chat(prompt, self._mark(fast))[0].text)
        if chat[0].role == "system":  # some chat formats take one system message only
            chat = (replace(chat[0], text=f"{chat[0].text}\n{manner}"), *chat[1:])
        else:
            chat = (Message("system", manner), *chat)
        law = self.ctx.sampling
        if fast:
            law = replace(law, max_tokens=min(law.max_tokens, self.method.fast_tokens))
        facts: dict[str, Any] = {"node": node.id, "system": way, "difficulty": self.difficulties[node.id]}
        path = ("scale-step", self.task.id, node.id)
        extra = self.method.fast_extra if fast else self.method.slow_extra
        role = "small" if fast else "policy"
        outcome = await call(self.ctx, chat, path=path, role=role, law=law, extra=extra, **facts)
        wanted = self.method.carry == "value" and (not last or self.method.parity == "released")
        if wanted and outcome.text and outcome.ended is None:
            return await self._value(node, outcome)
        return outcome

    def _mark(self, fast: bool) -> str:
        return self.method.fast_mark if fast else self.method.slow_mark

    async def _value(self, node: SubTask, outcome: Outcome) -> Outcome:
        """Note the value of a step for the steps after it; the whole text stands in where there is none."""
        if not affords(self.ctx, 2):
            return outcome
        prompt = self.texts["value"].substitute(step=node.text, solution=outcome.text)
        law = replace(self.ctx.sampling, max_tokens=_SCORE_TOKENS, stop=())
        path = ("scale-value", self.task.id, node.id)
        found = await call(
            self.ctx,
            self._chat(prompt, self.method.fast_mark),
            path=path,
            role="planner",
            law=law,
            extra=self.method.fast_extra,
        )
        if found.text:
            self.values[node.id] = found.text
        return replace(outcome, ended=found.ended)
