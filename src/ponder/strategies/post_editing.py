"""Post-editing: translate without thinking, then let the same or another model edit the draft under a thinking budget.

Paper: Li et al. 2025, arXiv:2510.06471 (test-time scaling of reasoning models for translation, card 03), scenario C:
editor with or without a quality score of the draft. Its finding: without thinking editing may hurt, with a budget it
helps; the score adds little.
Differs: the score is the judge's without a reference, since a method sees none (the paper takes the mean with a judge
that does); where it cannot be read it is 80, as there. The budget is the engine's (see `translation_scaling`).
Cost: 1 call of the policy, 2 of the role "editor" (1 without thinking), 1 of the role "judge" with `quality="judge"`.
Needs: continuation of a given prefix from both models. Source text and languages come from the task's metadata
("source", "source_language", "target_language"); without them the request itself is shown as the source.
When: drafts of a cheap model and an editor that thinks:
    ponder solve "..." --method post_editing -m openai:http://localhost:8000/v1#small --role editor=openai:http://host/v1#big
When not: an editor that does not think.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import ConfigError, Interrupted, ProviderError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.engines.asking import prompts
from ponder.engines.reasoned import reason
from ponder.engines.thinking import MARKERS, asked
from ponder.numerics.thinking_control import quality_score
from ponder.strategies._translating import ENDS, pace_of
from ponder.verifiers.translation_judge import TranslationJudge

__all__ = ["PostEditing"]


@strategies(
    "post_editing",
    card=3,
    paper="arXiv:2510.06471",
    fidelity="paper",
    access=(Access.PREFIX,),
    tags={
        "what": ("sequential", "internal"),
        "how": ("stimulation", "revision"),
        "where": ("translation",),
        "how_well": ("accuracy", "scalability"),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class PostEditing:
    """Draft, then edit.

    Attributes:
        thinking: most thinking tokens of the editor, >= 0; 0 edits without thinking.
        quality: what the editor is told of the draft: "none", or the score of the role "judge".
        answer: most tokens of a translation, >= 1.
        markers: how the drafting model sets its thinking off.
        editor_markers: the same for the editor; "" for the same.
    """

    thinking: int = 500
    quality: Literal["none", "judge"] = "none"
    answer: int = 1024
    markers: Literal["think", "thought", "m1", "scratchpad"] = "think"
    editor_markers: Literal["", "think", "thought", "m1", "scratchpad"] = ""

    def __post_init__(self) -> None:
        if self.thinking < 0 or self.answer < 1:
            raise ConfigError(f"needs thinking >= 0 and answer >= 1, got {self.thinking!r} and {self.answer!r}")
        if self.quality not in ("none", "judge"):
            raise ConfigError(f"quality must be none or judge, got {self.quality!r}")
        if self.markers not in MARKERS or (self.editor_markers or self.markers) not in MARKERS:
            raise ConfigError(f"markers must be one of {', '.join(MARKERS)}")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        judged = {"judge": 1} if self.quality == "judge" else {}
        return {"policy": 1, "editor": 2 if self.thinking else 1, **judged}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Draft, score, edit; a draft that cannot be edited is the answer."""
        for role in ("policy", "editor"):
            ctx.model(role).require(Access.PREFIX, what="post_editing")
        drafted = await reason(
            ctx,
            task.messages,
            markers=MARKERS[self.markers],
            pace=None,
            answer=self.answer,
            path=(task.id, 0),
            ends=ENDS.get(self.markers, ()),
        )
        if drafted.error is not None:
            raise ProviderError(f"the draft failed: {drafted.error}")
        draft = drafted.candidate(task, ctx, 0, part="draft")
        ended: Interrupted | None = drafted.ledger.interrupted
        if ended is not None:
            return ctx.result([draft], best=0, stopped=ended.reason, detail=str(ended))
        quality = None
        if self.quality == "judge":
            quality = await self._quality(task, ctx, draft)
        kind = self.editor_markers or self.markers
        pace = pace_of(self.thinking)
        chat = self._chat(task, draft.text.strip(), quality)
        edited = await reason(
            ctx,
            chat if pace is None else asked(chat, MARKERS[kind]),
            markers=MARKERS[kind],
            pace=pace,
            answer=self.answer,
            path=("edit", task.id, 0),
            role="editor",
            ends=ENDS.get(kind, ()),
        )
        ended = edited.ledger.interrupted
        final = edited.candidate(task, ctx, 1, part="edited", quality=quality)
        usable = final.ok and final.finish != "cancelled" and final.answer is not None
        detail = "" if usable else f"the draft was not edited: {final.error or ended or 'the edit is empty'}"
        return ctx.result(
            [draft, final],
            best=1 if usable else 0,
            stopped="done" if ended is None else ended.reason,
            detail=detail if ended is None else str(ended),
        )

    async def _quality(self, task: Task, ctx: Context, draft: Candidate) -> float:
        (score,) = await TranslationJudge().score(task, [draft], ctx)
        return quality_score(None, score.value)

    def _chat(self, task: Task, draft: str, quality: float | None) -> tuple[Message, ...]:
        parts = prompts("ponder.strategies", "post_editing")
        about = task.metadata
        source = str(about.get("source_language", "Source"))
        target = str(about.get("target_language", "the target language"))
        shown = parts["user"].substitute(
            source_language=source,
            target_language=target,
            source=str(about.get("source", task.prompt)),
            draft=draft,
            quality="" if quality is None else f"\n\nQuality score of the draft: {quality:g}/100",
        )
        evaluation = "" if quality is None else " and a score of its quality"
        system = parts["system"].substitute(target_language=target, evaluation=evaluation)
        return (Message("system", system), Message("user", shown))
