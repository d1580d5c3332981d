"""Translation scaling: think up to a budget, on request told once to wait, then translate.

Paper: Li et al. 2025, arXiv:2510.06471 (test-time scaling of reasoning models for translation, card 03): direct
translation under a hard thinking budget, and forced extrapolation by one "wait". Its findings: general models stop
gaining early and use far less than they may; a forced "wait" makes translations worse.
Differs: the engine `thinking` stops at the budget itself (the released processor makes closing likelier from 95 % on,
then forces a newline; `ponder.decoding.thinking_budget` is that processor, for a `generate` call of transformers).
Cues count towards the budget. With `thinking=0` the thought is opened and closed empty.
Cost: 2 calls, 1 without thinking, 3 with `wait` where the model stops early.
Needs: continuation of a given prefix.
When: to find how much thinking a translation needs:
    ponder study machine-translation -m openai:http://localhost:8000/v1#Qwen3-8B --budgets 0,100,500,1000
When not: models that were not trained to think; `post_editing` gains more from a budget than this does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ponder.core.access import Access
from ponder.core.context import Context
from ponder.core.errors import ConfigError, ProviderError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.reasoned import reason
from ponder.engines.thinking import MARKERS, asked
from ponder.strategies._translating import ENDS, GUARD, pace_of

__all__ = ["TranslationScaling"]


@strategies(
    "translation_scaling",
    card=3,
    paper="arXiv:2510.06471",
    fidelity="paper",
    access=(Access.PREFIX,),
    tags={
        "what": ("internal", "sequential"),
        "how": ("stimulation", "prompting"),
        "where": ("translation",),
        "how_well": ("accuracy", "scalability"),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class TranslationScaling:
    """Think under a budget, then translate.

    Attributes:
        thinking: most thinking tokens, >= 0; 0 translates without thinking.
        wait: whether a thought that would end before the budget is told to go on, once.
        cue: the word that it is continued behind.
        guard: thinking tokens below which it is not, >= 0.
        answer: most tokens of the translation, >= 1.
        markers: how the model sets its thinking off: "think", "thought", "m1" or "scratchpad".
    """

    thinking: int = 500
    wait: bool = False
    cue: str = "wait"
    guard: int = GUARD
    answer: int = 1024
    markers: Literal["think", "thought", "m1", "scratchpad"] = "think"

    def __post_init__(self) -> None:
        if self.thinking < 0 or self.answer < 1:
            raise ConfigError(f"needs thinking >= 0 and answer >= 1, got {self.thinking!r} and {self.answer!r}")
        if self.markers not in MARKERS:
            raise ConfigError(f"markers must be one of {', '.join(MARKERS)}, got {self.markers!r}")
        pace_of(self.thinking, wait=self.wait, cue=self.cue, guard=self.guard)

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": (2 + self.wait) if self.thinking else 1}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Think, translate."""
        ctx.model().require(Access.PREFIX, what="translation_scaling")
        markers = MARKERS[self.markers]
        pace = pace_of(self.thinking, wait=self.wait, cue=self.cue, guard=self.guard)
        reasoned = await reason(
            ctx,
            task.messages if pace is None else asked(task.messages, markers),
            markers=markers,
            pace=pace,
            answer=self.answer,
            path=(task.id, 0),
            ends=ENDS.get(self.markers, ()),
        )
        if reasoned.error is not None:
            raise ProviderError(f"the translation failed: {reasoned.error}")
        ended = reasoned.ledger.interrupted
        return ctx.result(
            [reasoned.candidate(task, ctx, 0)],
            best=0,
            stopped="done" if ended is None else ended.reason,
            detail="" if ended is None else str(ended),
        )
