"""Plan and budget: split a question into sub-questions and a token budget over them, more for early and hard ones.

Paper: Plan-and-Budget, arXiv:2505.16122 (card 60). A planner writes 2 to 5 sub-questions and splits 100 points of
credit over them; the total by the question's level (1 to 5) is divided by credit times a decay schedule. By default all
of it goes into one solving call as a wish (soft), as in the released code; `per_step` is the paper's formal pipeline:
one call a step, then one that puts them together, where `enforce="hard"` makes the meter keep each step's budget.
Differs: plan and assessment are JSON, asked for again where they cannot be used (then the question itself is the only
step, credits are equal, the level is 3); the assessment gives the level unless the task's metadata has one. Budgets
are worded in tokens (`unit="words"`: as released). `weights="bam"` takes credits for the uncertainties c of the theory
and divides by (c beta)^(1 / (beta + 1)) before the decay. Hard limits are ours; a step with budget 0 is not asked.
Cost: 3 calls (plan, assess, solve); 2 + steps + 1 with `per_step`. The chosen candidate's metadata hold the budgets and
the tokens written against them; E^3 = A^2 / T is the bench's `efficiency` metric, which counts the plan too.
Needs: nothing beyond text; a cheap model in the role "planner" if there is one.
When: models that think too long on easy parts.
When not: one-step questions: the plan then costs more than it saves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, cast

from ponder.core import registry
from ponder.core.budget import Budget
from ponder.core.candidate import Candidate
from ponder.core.context import Context, Method
from ponder.core.errors import ConfigError, Interrupted
from ponder.core.model import Sampling
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.engines.asking import Outcome, affords, ask_readable, call, prompts
from ponder.engines.plans import SubTask, flat
from ponder.engines.refine import with_question
from ponder.engines.task_graph import Done, ask_plan, conclude_graph, do_node, node_claim, run_graph
from ponder.numerics.budget_schedules import LEVELS, SCHEDULES, Schedule, allocate, bam_weight, uniform
from ponder.strategies._assessments import ASSESSMENT, Assessment, read_assessment

__all__ = ["PlanAndBudget"]

_MIDDLE = 3


@strategies(
    "plan_and_budget",
    card=60,
    paper="arXiv:2505.16122",
    fidelity="code",
    tags={
        "what": ("sequential", "efficiency"),
        "how": ("prompting",),
        "where": ("reasoning", "general"),
        "how_well": ("efficiency", "accuracy", "controllability"),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class PlanAndBudget:
    """A plan, and a budget for each of its steps.

    Attributes:
        split: "weighted" by credit and schedule, "uniform", "global" (one limit, not split), or "none".
        plan: whether there is a plan at all; without one only "global" and "none" make sense.
        schedule: the decay: constant, linear, polynomial, exponential or cosine.
        weights: what the decay multiplies: the "credits", or the theory's "bam" weight of them.
        beta: of the bam weight, > 0: how fast thought reduces uncertainty; 1 takes square roots of the credits.
        total: whole budget; 0: by level.
        per_step: one call a step and a synthesis, instead of one solving call.
        enforce: "soft" by the prompt, or "hard" by the meter too (per_step only).
        unit: of the budgets in prompts.
        most: sub-questions, >= 1.
        inner: with hard limits, registered method that does a step.
        inner_settings: of it.
        temperature: of solving, >= 0.
        repairs: how often a plan that cannot be used is asked for again, >= 0.
        plan_tokens: most tokens of a planner's reply, >= 1.
    """

    split: Literal["weighted", "uniform", "global", "none"] = "weighted"
    plan: bool = True
    schedule: Schedule = "polynomial"
    weights: Literal["credits", "bam"] = "credits"
    beta: float = 1.0
    total: int = 0
    per_step: bool = False
    enforce: Literal["soft", "hard"] = "soft"
    unit: Literal["tokens", "words"] = "tokens"
    most: int = 5
    inner: str = "greedy"
    inner_settings: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 0.1
    repairs: int = 1
    plan_tokens: int = 512

    def __post_init__(self) -> None:
        if self.split not in ("weighted", "uniform", "global", "none") or self.schedule not in SCHEDULES:
            raise ConfigError(f"no split {self.split!r} with the schedule {self.schedule!r}")
        if self.weights not in ("credits", "bam") or self.enforce not in ("soft", "hard"):
            raise ConfigError("weights is credits or bam, enforce is soft or hard")
        if self.unit not in ("tokens", "words"):
            raise ConfigError(f"unit is tokens or words, got {self.unit!r}")
        if self.most < 1 or self.total < 0 or self.repairs < 0 or self.plan_tokens < 1:
            raise ConfigError("needs most >= 1, total >= 0, repairs >= 0 and plan_tokens >= 1")
        if not self.beta > 0 or not self.temperature >= 0:
            raise ConfigError("needs beta > 0 and temperature >= 0")
        if not self.plan and (self.split in ("weighted", "uniform") or self.per_step):
            raise ConfigError("without a plan there are no steps: split is global or none, and per_step is off")
        if self.per_step and self.split not in ("weighted", "uniform"):
            raise ConfigError("per_step needs a budget for each step: split is weighted or uniform")
        if self.enforce == "hard" and not self.per_step:
            raise ConfigError("one call cannot be held to a budget for each step: enforce='hard' needs per_step=True")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        planned = 0 if not self.plan else 1 + (self.split == "weighted" or (self.total == 0 and self.split != "none"))
        most = {"policy": 1}
        if self.per_step:
            step = self._inner().calls() if self.enforce == "hard" else {"policy": 1}
            most = {role: self.most * count for role, count in step.items()}
            most["policy"] = most.get("policy", 0) + 1
        return {**most, "planner": planned * (1 + self.repairs)} if planned else most

    def needs(self) -> tuple[str, ...]:
        """What else the method of the steps needs."""
        hard = self.per_step and self.enforce == "hard"
        return registry.strategies.get(self.inner).needs if hard else ()

    def _inner(self) -> Method:
        return cast(Method, registry.strategies.get(self.inner).make(**self.inner_settings))

    async def run(self, task: Task, ctx: Context) -> Result:
        """Plan, assess, divide, solve."""
        texts = prompts(__package__, "plan_and_budget")
        law = replace(ctx.sampling, temperature=self.temperature)
        planner = replace(law, max_tokens=self.plan_tokens, stop=())
        nodes: tuple[SubTask, ...] = ()
        notes: list[str] = []
        ended: Interrupted | None = None
        if self.plan:
            prompt = texts["decompose"].substitute(question=task.prompt, most=self.most)
            asked = await ask_plan(
                ctx,
                [Message("user", prompt)],
                task,
                most=self.most,
                path=("plan", task.id),
                role="planner",
                law=planner,
                repairs=self.repairs,
                keep=1,
            )
            nodes, ended = flat(asked.plan, most=self.most), asked.ended
            notes.append(asked.note)
        level = task.metadata.get("level")
        found = Assessment(level if level in LEVELS else None, [1.0] * len(nodes))
        if ended is None and nodes and self._assesses(found.level):
            found, ended = await self._assess(task, ctx, nodes, found, planner, notes)
        total = self.total or LEVELS[found.level or _MIDDLE]
        budgets = self._divide(found.credits, total)
        ctx.trace.instant("budgets", ctx.span, total=total, budgets=budgets, level=found.level, credits=found.credits)
        if ended is not None:
            return conclude_graph(task, ctx, [], None, ended=ended, notes=notes)
        solving = replace(ctx, sampling=law, candidates=[])
        facts = {"total": total, "budgets": budgets, "level": found.level, "steps": [node.text for node in nodes]}
        if self.per_step:
            return await self._by_step(task, ctx, solving, nodes, budgets, facts, notes)
        steps = "\n".join(self._line(at, node, budgets) for at, node in enumerate(nodes))
        if nodes:
            limit = f"\nUse fewer than {total} {self.unit} in all.\n" if self.split == "global" else ""
            chat = with_question(task, texts["solve"].substitute(question=task.prompt, steps=steps, limit=limit))
        elif self.split == "global":
            chat = with_question(task, texts["global"].substitute(question=task.prompt, total=total, unit=self.unit))
        else:
            chat = task.messages
        outcome = await call(solving, chat, path=("budgeted", task.id))
        return self._result(task, ctx, [], outcome.candidate, outcome.ended, facts, notes)

    def _assesses(self, level: int | None) -> bool:
        """Return whether credits, or a level that is not known, are needed."""
        return self.split == "weighted" or (self.total == 0 and self.split != "none" and level is None)

    async def _assess(
        self,
        task: Task,
        ctx: Context,
        nodes: Sequence[SubTask],
        known: Assessment,
        law: Sampling,
        notes: list[str],
    ) -> tuple[Assessment, Interrupted | None]:
        prompt = prompts(__package__, "plan_and_budget")["assess"].substitute(
            question=task.prompt,
            count=len(nodes),
            steps="\n".join(f"{node.id}. {node.text}" for node in nodes),
            example=", ".join(map(str, uniform(100, len(nodes)))),
        )
        asked = await ask_readable(
            ctx,
            [Message("user", prompt)],
            lambda text: read_assessment(text, len(nodes)),
            path=("assess", task.id),
            role="planner",
            law=law,
            schema=ASSESSMENT,
            repairs=self.repairs,
            keep=1,
        )
        if asked.value is None:
            notes.append("no credits could be read: equal ones" if asked.faults else "")
            return known, asked.ended
        return Assessment(known.level or asked.value.level, asked.value.credits), asked.ended

    def _divide(self, credits: Sequence[float], total: int) -> list[int]:
        if not credits or self.split in ("global", "none"):
            return []
        if self.split == "uniform":
            return uniform(total, len(credits))
        if self.weights == "bam":
            credits = [bam_weight(credit, self.beta) for credit in credits]
        return allocate(credits, total, self.schedule).tokens

    def _line(self, at: int, node: SubTask, budgets: Sequence[int]) -> str:
        limit = f" (solve it directly, using up to {budgets[at]} {self.unit})" if budgets else ""
        return f"Sub-question {at + 1}: {node.text}{limit}"

    async def _by_step(
        self,
        task: Task,
        ctx: Context,
        solving: Context,
        nodes: Sequence[SubTask],
        budgets: Sequence[int],
        facts: Mapping[str, Any],
        notes: list[str],
    ) -> Result:
        """Do the steps one after another, each with what came before it, and put them together."""
        texts = prompts(__package__, "plan_and_budget")
        granted = dict(zip((node.id for node in nodes), budgets, strict=True))
        hard = self.enforce == "hard"
        asked = [node for node in nodes if granted[node.id] > 0]
        chain = [
            replace(
                node,
                depends=tuple(earlier.id for earlier in asked[:at]),
                method=self.inner if hard else "",
                settings=self.inner_settings if hard else {},
                budget=Budget(completion_tokens=granted[node.id]) if hard else None,
            )
            for at, node in enumerate(asked)
        ]
        wording = {node.id: node.text for node in chain}

        def told(done: Done) -> str:
            return "\n".join(f"\n{wording[name]}\n{outcome.text}" for name, outcome in done.items() if outcome.text)

        def render(node: SubTask, done: Done) -> Sequence[Message]:
            found = told(done)
            return with_question(
                task,
                texts["step"].substitute(
                    question=task.prompt,
                    done=f"\nDone so far:\n{found}\n" if found else "",
                    step=node.text,
                    budget=granted[node.id],
                    unit=self.unit,
                ),
            )

        async def work(node: SubTask, done: Done, sure: bool) -> Outcome:
            if not affords(ctx, 2):  # the last call is for the answer
                return Outcome()
            return await do_node(task, solving, render, node, done, sure)

        done = await run_graph(chain, work, ctx, claim=partial(node_claim, solving, render), keep=1) if chain else {}
        parts = [outcome.candidate for outcome in done.values() if outcome.candidate is not None]
        ended = next((outcome.ended for outcome in done.values() if outcome.ended is not None), None)
        final: Candidate | None = None
        if ended is None:
            prompt = texts["synthesis"].substitute(question=task.prompt, done=told(done))
            outcome = await call(solving, with_question(task, prompt), path=("synthesis", task.id))
            final, ended = outcome.candidate, outcome.ended
        return self._result(task, ctx, parts, final, ended, facts, notes)

    def _result(
        self,
        task: Task,
        ctx: Context,
        parts: Sequence[Candidate],
        final: Candidate | None,
        ended: Interrupted | None,
        facts: Mapping[str, Any],
        notes: Sequence[str],
    ) -> Result:
        """Build the result; the final candidate tells its budgets, and how many tokens were written against them."""
        written = [part.usage.completion_tokens for part in parts]
        whole = sum(written) if parts else (0 if final is None else final.usage.completion_tokens)
        facts = {**facts, "written": written or [whole], "adherence": whole / facts["total"]}
        if final is not None:
            final = replace(final, metadata={**final.metadata, **facts})
        return conclude_graph(task, ctx, parts, final, ended=ended, notes=notes)
