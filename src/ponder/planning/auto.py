"""The compute-optimal method: look at a few samples, then run what a fitted policy says pays at that difficulty.

Paper: Snell et al. 2024, arXiv:2408.03314, section 3 (card 04): the best configuration depends on the difficulty of
the question; Liu et al. 2025, arXiv:2502.06703 (card 13): and on model and verifier, so that a policy holds for those
that it was measured with, and is refused on others.
Differs: difficulty comes from a probe of few samples that is charged. The samples of the probe are those that the
chosen method starts with: they are drawn, paid and counted once.
Without a policy it runs a default that stops early, and says so: best-of-N that takes the first accepted sample where
there is a verifier (accepted: a score of at least 1), a Bayesian majority vote where answers can be compared, one
greedy answer for free text.
Cost: the probe, and what the policy chooses. Needs: for a policy, the models that it was measured with.
When: you have run `ponder bench` and `ponder tune` on tasks like yours.
When not: tasks unlike those it was tuned on: the expected gain in the file was measured on those.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.registry import strategies, verifiers
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.sample import sample
from ponder.planning.difficulty import Evidence
from ponder.planning.policy import Choice, Policy, Probe, load_policy

__all__ = ["POLICY_FILE", "Auto"]

POLICY_FILE = "PONDER_POLICY"  # environment variable: the policy where none is named


@strategies(
    "auto",
    card=(4, 13),
    fidelity="ours",
    tags={
        "what": ("hybrid",),
        "how": ("sampling", "verification"),
        "where": ("reasoning", "general"),
        "how_well": ("accuracy", "efficiency"),
    },
    since="0.2",
)
@dataclass(frozen=True, kw_only=True)
class Auto:
    """What a policy says, by difficulty.

    Attributes:
        policy: file of a policy; "" for the one that PONDER_POLICY names, and without that the early-stopping default.
        shadow: run the policy's default and only note in the trace what the policy would have run.
        n: most samples of the early-stopping default.
    """

    policy: str = ""
    shadow: bool = False
    n: int = 16

    def calls(self) -> dict[str, int]:
        """Most calls by role (verifiers' own come on top)."""
        policy = self._load()
        if policy is None:
            return {"policy": self.n}
        most: dict[str, int] = {}
        for choice in policy.choices:
            made = strategies.get(choice.method).make(**choice.settings)
            for role, count in made.calls().items():
                role = choice.role if role == "policy" else role
                most[role] = max(most.get(role, 0), count)
        if policy.probe is not None:
            most["policy"] = most.get("policy", 0) + policy.probe.n
        return most

    async def run(self, task: Task, ctx: Context) -> Result:
        """Probe, pick, run."""
        policy = self._load()
        if policy is None:
            return await self._default(task, ctx)
        policy.check(ctx.models)
        ctx.remember()
        evidence: Evidence | None = None
        probed: tuple[Candidate, ...] = ()
        if policy.probe is not None:
            evidence, probed = await _look(task, ctx, policy.probe)
        name, choice = policy.pick(evidence)
        ctx.trace.instant("policy", ctx.span, bin=name, choice=choice.label, shadow=self.shadow)
        running = policy.otherwise if self.shadow else choice
        why = f"difficulty bin {name}: {choice.label}"
        if self.shadow:
            why = f"shadow: ran {running.label}; the policy would have run {choice.label} (bin {name})"
        return await _run(task, ctx, running, why, probed)

    async def _default(self, task: Task, ctx: Context) -> Result:
        if ctx.verifier is not None:
            choice = Choice(method="best_of_n", settings={"n": self.n, "accept": 1.0})
        elif task.answer == "text":
            choice = Choice(method="greedy")
        else:
            choice = Choice(method="self_consistency", settings={"n": self.n, "early_stop": "bayes"})
        return await _run(task, ctx, choice, f"no policy was given: ran {choice.label}", ())

    def _load(self) -> Policy | None:
        file = self.policy or os.environ.get(POLICY_FILE, "")
        return load_policy(file) if file else None


async def _look(task: Task, ctx: Context, probe: Probe) -> tuple[Evidence, tuple[Candidate, ...]]:
    """Draw the probe's samples and return what they show."""
    drawn = await sample(task, ctx, n=probe.n)
    candidates = list(drawn.candidates)
    if probe.verifier:
        judge = verifiers.get(probe.verifier).make(**probe.judging)
        candidates = await replace(ctx, verifier=judge, verifier_name=probe.verifier).score(task, candidates)
    return Evidence.of(candidates, groups=drawn.groups, verifier=probe.verifier), drawn.candidates


async def _run(task: Task, ctx: Context, choice: Choice, why: str, probed: tuple[Candidate, ...]) -> Result:
    result = await ctx.run(
        choice.method,
        task,
        acting="" if choice.role == "policy" else choice.role,
        verifier=choice.verifier,
        judging=choice.judging,
        **choice.settings,
    )
    candidates, best = list(result.candidates), result.chosen
    if best is None and probed:
        # The budget ended before the chosen method had an answer: the probe may hold one.
        candidates = [*candidates, *probed]
        best = next((at for at, c in enumerate(candidates) if c.ok and c.answer is not None), None)
    detail = "; ".join(filter(None, (why, result.detail)))
    return ctx.result(candidates, best=best, answer=result.answer, stopped=result.stopped, detail=detail)
