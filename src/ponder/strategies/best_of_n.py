"""Best-of-N: sample n answers and return the one that a verifier scores highest.

Paper: Cobbe et al. 2021, arXiv:2110.14168 (best-of-N by verifier); weighted form: card 04 (Snell et al. 2024,
arXiv:2408.03314, section 5.1): the scores of equal answers are summed and the answer with the largest sum wins, given
by its highest-scored candidate.
Differs: a missing score never wins and adds nothing; equal scores and sums go to the candidate seen first; where no
candidate has a score the first readable answer is returned, and the result says so. A broken-off candidate is not
eligible.
Early acceptance (ours): with `accept` the samples are scored as they come, and the first one that scores so much is the
answer. With a verifier that is right about what it accepts, an easy question then costs one sample instead of n.
Cost: n calls, plus the verifier's own; with `accept` about 1 / (share of samples accepted). Needs: a verifier.
When: a checker that is better at judging than the model is at answering; writing with constraints that a program can
check; code with tests.
When not: a weak verifier and large n: the best-scored answer is then the one that fools it best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.sample import sample
from ponder.numerics.votes import best_of, weighted_vote

__all__ = ["BestOfN"]


@strategies(
    "best_of_n",
    card=(4, 13),
    paper="arXiv:2110.14168",
    fidelity="paper",
    needs=("verifier",),
    tags={
        "what": ("parallel",),
        "how": ("sampling", "verification"),
        "where": ("reasoning", "general"),
        "how_well": ("accuracy",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class BestOfN:
    """Best of n samples by verifier score.

    Attributes:
        n: samples, >= 1.
        weighted: sum the scores of equal answers before choosing (needs an answer type with equality).
        accept: score at which a sample is taken at once and no more are drawn; by default all n are drawn.
        ahead: with `accept`, samples in flight at once: fewer waste less, more are quicker.
    """

    n: int = 16
    weighted: bool = False
    accept: float | None = None
    ahead: int = 4

    def __post_init__(self) -> None:
        if self.n < 1 or self.ahead < 1:
            raise ConfigError(f"n and ahead must be at least 1, got n={self.n!r}, ahead={self.ahead!r}")
        if self.accept is not None and self.weighted:
            raise ConfigError("accept takes the first good sample, weighted sums over all of them: choose one")

    def calls(self) -> dict[str, int]:
        """Most calls by role (the verifier's own come on top)."""
        return {"policy": self.n}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample, score, choose."""
        scored: list[Candidate] = []

        async def enough(candidates: Sequence[Candidate]) -> bool:
            scored.extend(await ctx.score(task, candidates[len(scored) :]))
            value = _score(scored[-1], ctx)
            return value is not None and self.accept is not None and value >= self.accept

        drawn = await sample(task, ctx, n=self.n, enough=None if self.accept is None else enough, ahead=self.ahead)
        candidates = [*scored, *await ctx.score(task, drawn.candidates[len(scored) :])]
        scores = [_score(candidate, ctx) for candidate in candidates]
        best = weighted_vote(drawn.groups, scores) if self.weighted else best_of(scores)
        detail = drawn.detail
        if len(candidates) < self.n and not detail:
            detail = f"accepted after {len(candidates)} of {self.n} samples"
        if best is None and candidates:
            best = next((i for i, group in enumerate(drawn.groups) if group is not None), None)
            detail = "; ".join(filter(None, (drawn.detail, "no candidate has a score: the first readable answer")))
        return ctx.result(candidates, best=best, stopped=drawn.stopped, detail=detail)


def _score(candidate: Candidate, ctx: Context) -> float | None:
    """Return the score of a candidate that may be chosen."""
    return None if candidate.finish == "cancelled" else candidate.scores[ctx.verifier_name].value
