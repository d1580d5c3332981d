"""Greedy decoding: the single most likely continuation, token by token.

Source: the baseline of every paper here; no paper of its own.
Cost: 1 call. Needs: nothing beyond text.
When: as the reference point, and where answers must be the same each time.
When not: where a sampled answer is right often enough that several of them are worth their cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ponder.core.context import Context
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.sample import sample

__all__ = ["Greedy"]


@strategies(
    "greedy",
    tags={"what": ("single",), "how": ("greedy",), "where": ("general",), "how_well": ("accuracy",)},
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class Greedy:
    """Greedy decoding; it has no settings."""

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": 1}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Make the one call."""
        # Nucleus and top-k cuts change nothing at temperature 0; off, two settings of them are one stored answer.
        law = replace(ctx.sampling, temperature=0.0, top_p=1.0, top_k=0, min_p=0.0)
        drawn = await sample(task, ctx, n=1, sampling=law)
        return ctx.result(drawn.candidates, best=0 if drawn.candidates else None)
