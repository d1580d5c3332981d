"""Borda voting: a vote in which the samples that the model was more certain of count for more.

Paper: Kang et al. 2025, arXiv:2502.18581 (card 26): the r-th most certain of N samples gives (N - r + 1)^p votes to
its answer; p = 0 is self-consistency, a large p follows the single most certain answer.
Differs: p by the paper's rule of thumb where none is given (0.3 up to 16 samples, 1.2 from 32), log-linear between
(our choice); where no answer can be read the most certain output is returned and the result says so.
Cost: n calls. Needs: full logits (or top-k log-probabilities, approximated), an answer type with equality.
When: answers that can be compared; a little better than self-consistency at the same samples.
When not: free text; back-ends without logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ponder.core.access import Access
from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.confidence import needed_access, sample_with_confidence
from ponder.numerics.votes import best_of, borda

__all__ = ["BordaVoting", "rule_of_thumb"]


@strategies(
    "borda_voting",
    card=26,
    paper="arXiv:2502.18581",
    fidelity="paper",
    access=(Access.TEXT, Access.LOGITS),
    tags={
        "what": ("parallel",),
        "how": ("sampling", "voting", "certainty"),
        "where": ("reasoning",),
        "how_well": ("accuracy",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class BordaVoting:
    """Vote weighted by the rank of certainty.

    Attributes:
        n: samples, >= 1.
        power: p >= 0, or None for the rule of thumb.
        top_k: 0 for exact certainty, else how many log-probabilities the approximation takes.
    """

    n: int = 16
    power: float | None = None
    top_k: int = 0

    def __post_init__(self) -> None:
        if self.n < 1 or self.top_k < 0:
            raise ConfigError(f"n must be at least 1 and top_k at least 0, got n={self.n!r}, top_k={self.top_k!r}")
        if self.power is not None and not self.power >= 0:
            raise ConfigError(f"power must be at least 0, got {self.power!r}")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": self.n}

    def access(self) -> frozenset[Access]:
        """What these settings need from the model."""
        return needed_access(self.top_k)

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample, rank by certainty, vote."""
        drawn, candidates, scores = await sample_with_confidence(task, ctx, n=self.n, top_k=self.top_k)
        power = rule_of_thumb(len(scores)) if self.power is None else self.power
        best, detail = borda(drawn.groups, scores, power), drawn.detail
        if best is None and (best := best_of(scores)) is not None:
            detail = "; ".join(filter(None, (detail, "no answer can be read: the most certain output")))
        return ctx.result(candidates, best=best, stopped=drawn.stopped, detail=detail)


def rule_of_thumb(n: int) -> float:
    """Return the power for n samples: 0.3 up to 16, 1.2 from 32, log-linear between."""
    share = min(max(math.log2(max(n, 1) / 16), 0.0), 1.0)
    return 0.3 + 0.9 * share
