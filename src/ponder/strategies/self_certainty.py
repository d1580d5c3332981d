"""Self-certainty: sample n answers and return the one that the model was most certain of; no verifier.

Paper: Kang et al. 2025, arXiv:2502.18581 (card 26). The certainty of an answer is the mean over its tokens of the
divergence of the next-token law from the uniform one, on raw logits, accumulated while sampling.
Differs: where no answer can be read the most certain output is returned and the result says so (the released code
returns output 0). `top_k` > 0 approximates from the k likeliest tokens, for back-ends without full logits; the scores
say that they are approximated.
Cost: n calls. Needs: full logits (or top-k log-probabilities for the approximation).
When: open-ended output such as code or prose, where answers cannot be compared.
When not: answers that can be compared: self-consistency and Borda voting are better there (card 26, results).
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder.core.access import Access
from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.confidence import needed_access, sample_with_confidence
from ponder.numerics.votes import best_of

__all__ = ["SelfCertainty"]


@strategies(
    "self_certainty",
    card=26,
    paper="arXiv:2502.18581",
    fidelity="paper",
    access=(Access.TEXT, Access.LOGITS),
    tags={
        "what": ("parallel",),
        "how": ("sampling", "certainty"),
        "where": ("reasoning", "general"),
        "how_well": ("accuracy",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class SelfCertainty:
    """Best of n samples by the model's own certainty.

    Attributes:
        n: samples, >= 1.
        top_k: 0 for exact certainty, else how many log-probabilities the approximation takes.
    """

    n: int = 16
    top_k: int = 0

    def __post_init__(self) -> None:
        if self.n < 1 or self.top_k < 0:
            raise ConfigError(f"n must be at least 1 and top_k at least 0, got n={self.n!r}, top_k={self.top_k!r}")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": self.n}

    def access(self) -> frozenset[Access]:
        """What these settings need from the model."""
        return needed_access(self.top_k)

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample, score by certainty, choose among the readable answers."""
        drawn, candidates, scores = await sample_with_confidence(task, ctx, n=self.n, top_k=self.top_k)
        readable = [s if group is not None else None for s, group in zip(scores, drawn.groups, strict=True)]
        best, detail = best_of(readable), drawn.detail
        if best is None and (best := best_of(scores)) is not None:
            detail = "; ".join(filter(None, (detail, "no answer can be read: the most certain output")))
        return ctx.result(candidates, best=best, stopped=drawn.stopped, detail=detail)
