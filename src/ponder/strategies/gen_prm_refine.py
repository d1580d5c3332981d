"""Refine on GenPRM's critique: verify a solution step by step, rethink the first bad step, repeat.

Paper: Zhao et al. 2025, arXiv:2504.00891 (GenPRM as a critic, card 57 C). A generative verifier judges the steps in
order by reasoning and running code; at the first one whose reward is below 1/2 the policy is shown its whole solution,
that step and what was said of it, and writes a new solution. Three rounds by default, or until no step is bad.
Differs: steps after the first bad one are not judged, because nothing depends on them; where a step cannot be judged
before a bad one is found the solution is kept, and the result says why; a rewriting without an answer that can be read
does not replace one that has it; the steps past `steps` are not judged, so that the calls have a bound; the wording of
the prompts is ours.
Cost: 1 + rounds calls of the policy, and in each round a verification of the steps up to the first bad one (role
"judge"): votes * (1 + code_rounds + 1) calls a step at most. The last solution is not verified.
Needs: continuation of a prefix; bubblewrap, unless `execute` is off; a judge that was trained for this (GenPRM-1.5B and
larger), or a strong one.
When: solutions in paragraphs whose claims code can check, and a verifier that is better at checking than the policy is
at solving.
When not: short answers without steps, or a weak verifier: each false alarm risks a right answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder.core.access import Access
from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.refine import refine
from ponder.numerics.progress_labels import first_error
from ponder.verifiers.gen_prm import GenPRM, Verified, critic
from ponder.verifiers.sandbox import Confinement

__all__ = ["GenPRMRefine"]

_VERIFIER = "gen_prm"


@strategies(
    "gen_prm_refine",
    card=57,
    paper="arXiv:2504.00891",
    fidelity="code",
    access=(Access.TEXT, Access.PREFIX),
    tags={
        "what": ("sequential",),
        "how": ("revision", "process", "execution"),
        "where": ("math", "reasoning"),
        "how_well": ("accuracy",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class GenPRMRefine:
    r"""Rounds of verification and rewriting of one solution.

    Attributes:
        rounds: most rewritings, >= 0.
        steps: most steps of a solution that are judged, >= 1.
        votes: verifications of each step, >= 1; their mean reward counts.
        analyse, verify, execute: write an analysis; write code; run it. All off: the verdict alone.
        code_rounds: most code blocks for a step, >= 1.
        max_tokens: most tokens of one verification, >= 1.
        temperature: of the verifier, >= 0; the policy's law is that of the run.
        delimiter: text between the steps of a solution.
        confinement: "bubblewrap", or "unconfined" for models that you trust with your machine.
    """

    rounds: int = 3
    steps: int = 24
    votes: int = 1
    analyse: bool = True
    verify: bool = True
    execute: bool = True
    code_rounds: int = 3
    max_tokens: int = 2048
    temperature: float = 0.6
    delimiter: str = "\n\n"
    confinement: Confinement = "bubblewrap"

    def __post_init__(self) -> None:
        if self.rounds < 0 or self.steps < 1:
            raise ConfigError(f"needs rounds >= 0 and steps >= 1, got {self.rounds!r} and {self.steps!r}")
        _ = self.judge  # refuses what it cannot do

    @property
    def judge(self) -> GenPRM:
        """The verifier that these settings make."""
        return GenPRM(
            votes=self.votes,
            analyse=self.analyse,
            verify=self.verify,
            execute=self.execute,
            rounds=self.code_rounds,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            delimiter=self.delimiter,
            confinement=self.confinement,
        )

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": 1 + self.rounds, "judge": self.rounds * self.steps * self.judge.calls_a_step()}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample, then verify and rewrite.

        Raises:
            MissingExtra: generated code cannot be run here; nothing was spent.
            AccessDenied: the judge cannot continue a given beginning; nothing was spent.
        """
        judge = self.judge
        if self.rounds:
            judge.check(ctx)
        scores: dict[int, Score] = {}
        notes: list[str] = []

        def tell(solution: Candidate, verified: Verified) -> None:
            bad = first_error(verified.rewards)
            whole = judge.score_of(verified)
            scores[solution.index] = whole if bad is None else Score(steps=whole.steps, reason=whole.reason)
            if bad is None and verified.problem and verified.ended is None:
                notes.append(f"solution {solution.index + 1} is kept: {verified.problem}")
            ctx.trace.instant(
                "critique", ctx.span, index=solution.index, rewards=list(verified.rewards), problem=verified.problem
            )

        follow = critic(judge, task, ctx, steps=self.steps, tell=tell)
        found = await refine(task, ctx, chains=1, rounds=self.rounds, follow=follow)
        candidates = [c.scored(_VERIFIER, scores[c.index]) if c.index in scores else c for c in found.candidates]
        detail = "; ".join(filter(None, (found.detail, *notes)))
        return ctx.result(candidates, best=_newest(candidates), stopped=found.stopped, detail=detail)


def _newest(candidates: list[Candidate]) -> int | None:
    """Return the last solution that was not broken off and has an answer, else the last that was not broken off."""
    usable = [at for at, candidate in enumerate(candidates) if candidate.ok and candidate.finish != "cancelled"]
    answered = [at for at in usable if candidates[at].answer is not None]
    return next(reversed(answered or usable), None)
