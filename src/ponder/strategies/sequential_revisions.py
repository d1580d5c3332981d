"""Sequential revisions: chains in which each attempt sees the last ones; a verifier chooses within and across chains.

Paper: Snell et al. 2024, arXiv:2408.03314, section 6 (card 04, C). A budget of n answers is split into chains and
attempts in each; the ratio of both is the parameter (easy questions want long chains, hard ones a mix). The verifier
version takes inside each chain the best-scored attempt of the answer with the largest summed score, then does the same
across these; the majority version counts all answers of all chains alike.
Differs: the paper trains a model to revise, here the policy is asked to (weak for small models); the verifier judges
an attempt by itself, not with the earlier ones beside it; a ratio that n has no split for takes the nearest. Where no
attempt has a score all answers are counted alike, and the result says so.
Cost: n calls in n / chains rounds (prompts grow by up to `context` attempts), plus the verifier's own.
Needs: a verifier, except for choose="majority".
When: models that can correct themselves, easy to medium questions, a verifier at hand: about 38 % of the right answers
of the paper's model became wrong at the next revision, so the last attempt alone is a poor choice.
When not: models that cannot revise: independent samples cost less and see no wrong attempts.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.engines.refine import Chain, Refinement, refine, with_question
from ponder.numerics.refinement import split
from ponder.numerics.votes import hierarchical_vote, majority

__all__ = ["SequentialRevisions"]


@strategies(
    "sequential_revisions",
    card=4,
    paper="arXiv:2408.03314",
    fidelity="paper",
    needs=("verifier",),
    tags={
        "what": ("sequential", "parallel", "hybrid"),
        "how": ("revision", "verification"),
        "where": ("reasoning",),
        "how_well": ("accuracy",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class SequentialRevisions:
    """Chains of revisions.

    Attributes:
        n: attempts in all, >= 1.
        ratio: sequential to parallel, length of a chain over number of chains, > 0: n is one chain, 1 / n is n
            independent samples.
        context: how many of the last attempts a revision sees, >= 1.
        choose: "verifier" (inside each chain, then across them) or "majority" (over all attempts).
    """

    n: int = 16
    ratio: float = 1.0
    context: int = 4
    choose: Literal["verifier", "majority"] = "verifier"

    def __post_init__(self) -> None:
        split(self.n, self.ratio)
        if self.context < 1:
            raise ConfigError(f"context must be at least 1, got {self.context!r}")
        if self.choose not in ("verifier", "majority"):
            raise ConfigError(f"choose must be verifier or majority, got {self.choose!r}")

    def calls(self) -> dict[str, int]:
        """Most calls by role (the verifier's own come on top)."""
        return {"policy": self.n}

    def needs(self) -> tuple[str, ...]:
        """What these settings need: a vote asks no verifier."""
        return ("verifier",) if self.choose == "verifier" else ()

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample, revise, score, choose."""
        chains, length = split(self.n, self.ratio)
        template = string.Template(
            files(__package__).joinpath("prompts/sequential_revisions.md").read_text(encoding="utf-8")
        )

        async def follow(going: Sequence[Chain], round_: int) -> list[tuple[Message, ...]]:
            return [self._revision(task, chain, template) for chain in going]

        found = await refine(task, ctx, chains=chains, rounds=length - 1, follow=follow)
        if self.choose == "majority":
            best, detail = majority(found.groups), found.detail
            return ctx.result(found.candidates, best=best, stopped=found.stopped, detail=detail)
        candidates = await ctx.score(task, found.candidates)
        scores = [None if c.finish == "cancelled" else c.scores[ctx.verifier_name].value for c in candidates]
        best, detail = _hierarchical(found, scores), found.detail
        if best is None and (best := majority(found.groups)) is not None:
            detail = "; ".join(filter(None, (detail, "no attempt has a score: the majority of all attempts")))
        return ctx.result(candidates, best=best, stopped=found.stopped, detail=detail)

    def _revision(self, task: Task, chain: Chain, template: string.Template) -> tuple[Message, ...]:
        shown = chain.attempts[-self.context :]
        first = len(chain.attempts) - len(shown) + 1
        attempts = "\n\n".join(f"Attempt {k}:\n{attempt.text}" for k, attempt in enumerate(shown, first))
        return with_question(task, template.substitute(question=task.prompt, attempts=attempts))


def _hierarchical(found: Refinement, scores: Sequence[float | None]) -> int | None:
    choice = hierarchical_vote([[(found.groups[at], scores[at]) for at in chain] for chain in found.chains])
    if choice.chain is None:
        return None
    member = choice.representatives[choice.chain]
    return None if member is None else found.chains[choice.chain][member]
