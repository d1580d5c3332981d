"""Pass-through: one sampled answer under the law that the client asked for, n times if it asked for n choices.

Source: our own. It is the gateway's own method (`single`), beside those of the catalogue: what makes it a pass-through
(tools, schema, log-probabilities, raw prompts) is put on the call by `ponder.gateway.shaped`.
Cost: n calls. Needs: nothing beyond text.
When: the model's own answer is wanted, or the request has tools.
When not: where several answers and a choice among them are worth their cost.
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder.core.context import Context
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.sample import sample

__all__ = ["Single"]


@dataclass(frozen=True, kw_only=True)
class Single:
    """The model's own answer.

    Attributes:
        n: choices, >= 1.
    """

    n: int = 1

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": self.n}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Draw the choices; the first usable one is the answer."""
        drawn = await sample(task, ctx, n=self.n)
        best = next((place for place, candidate in enumerate(drawn.candidates) if candidate.ok), None)
        return ctx.result(drawn.candidates, best=best, stopped=drawn.stopped, detail=drawn.detail)
