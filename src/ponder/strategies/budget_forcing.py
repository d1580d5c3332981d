"""Budget forcing (m1): think up to a budget, be told to wait where the thought ends early, then answer.

Paper: Huang et al. 2025, arXiv:2504.00869, sections on thinking budget and budget forcing (card 07), after s1. The
paper's findings: accuracy rises with the budget up to about 4,000 tokens and then falls; forced waiting gains little,
and on questions of knowledge it turns right answers into wrong ones.
Differs: cues count towards the budget, and each thought has its own limit (engine `thinking`); several thoughts with a
vote over their answers are ours; so is the minimum. Thinking here starts in the assistant's turn, by prefill: a model
whose chat template opens the thought itself needs `markers` to say so.
Cost: n x (2 + cues) calls; each continuation reads the thought again unless the server caches prefixes.
Needs: continuation of a given prefix.
When: a model trained to think (markers think, thought, m1); to find the budget at which more thinking stops paying.
When not: models that are not: `scratchpad` asks them for notes, and small ones gain nothing from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import ConfigError, ProviderError, Stopped
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.core.tasks import gather_all
from ponder.engines.reasoned import reason
from ponder.engines.thinking import MARKERS, Ledger, Pace, asked
from ponder.numerics.votes import majority

__all__ = ["BudgetForcing"]


@strategies(
    "budget_forcing",
    card=7,
    paper="arXiv:2504.00869",
    fidelity="paper",
    access=(Access.PREFIX,),
    tags={
        "what": ("sequential", "internal"),
        "how": ("stimulation", "prompting"),
        "where": ("medical", "reasoning"),
        "how_well": ("accuracy", "controllability"),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class BudgetForcing:
    """Think under a budget, then answer.

    Attributes:
        thinking: most thinking tokens, >= 1.
        cues: how often a thought that ended early is continued, >= 0.
        minimum: thinking tokens below which it is continued whatever `cues` says; 0 for none.
        cue: the word that it is continued behind.
        answer: most tokens of the answer, >= 1.
        markers: how the model sets its thinking off: "think", "thought", "m1" or "scratchpad".
        n: thoughts, with a majority vote over their answers, >= 1.
    """

    thinking: int = 2048
    cues: int = 0
    minimum: int = 0
    cue: str = "Wait"
    answer: int = 1024
    markers: Literal["think", "thought", "m1", "scratchpad"] = "think"
    n: int = 1

    def __post_init__(self) -> None:
        self._pace()
        if self.answer < 1 or self.n < 1:
            raise ConfigError(f"answer and n must be at least 1, got {self.answer!r} and {self.n!r}")
        if self.markers not in MARKERS:
            raise ConfigError(f"markers must be one of {', '.join(MARKERS)}, got {self.markers!r}")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": self.n * (2 + self._pace().most_cues)}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Think, answer, vote."""
        ctx.model().require(Access.PREFIX, what="budget_forcing")
        found = await gather_all([partial(self._one, task, ctx, index) for index in range(self.n)])
        candidates = [candidate for candidate, _ in found]
        failed = [c.error for c in candidates if c.error is not None]
        if len(failed) == len(candidates):
            raise ProviderError(f"every thought failed: {failed[-1]}")
        groups = await ctx.answers(task).group(
            [c.answer if c.ok and c.finish != "cancelled" else None for c in candidates]
        )
        best = majority(groups)
        if best is None:  # nothing could be read: the first that is there
            best = next((at for at, c in enumerate(candidates) if c.ok), None)
        stopped: Stopped = "done"
        detail = ""
        ended = next((ledger.interrupted for _, ledger in found if ledger.interrupted is not None), None)
        if ended is not None:
            stopped, detail = ended.reason, str(ended)
        return ctx.result(candidates, best=best, stopped=stopped, detail=detail)

    def _pace(self) -> Pace:
        return Pace(budget=self.thinking, cues=self.cues, minimum=self.minimum, cue=self.cue)

    async def _one(self, task: Task, ctx: Context, index: int) -> tuple[Candidate, Ledger]:
        markers = MARKERS[self.markers]
        reasoned = await reason(
            ctx,
            asked(task.messages, markers),
            markers=markers,
            pace=self._pace(),
            answer=self.answer,
            path=(task.id, index),
        )
        return reasoned.candidate(task, ctx, index), reasoned.ledger
