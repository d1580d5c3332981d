"""Translation judge: a model reads source and translation and gives a score on one of three scales.

Paper: Li et al. 2025, arXiv:2510.06471 (MT test-time scaling, card 03): a direct score from 0 to 100, and scales with
anchors from 0 to 100 and from 0 to 5, after GEMBA. No reference is shown.
Differs: our own wording; the first whole number that stands alone is the score, as there, but one off the scale is
missing (there it counts). Scores come back in the order of the answers (the released script takes them as they end).
Cost: one short call of the role "judge" for each distinct translation, in parallel. Needs: nothing beyond text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, ProviderError
from ponder.core.model import Sampling
from ponder.core.registry import verifiers
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.engines.replies import unthought
from ponder.numerics.thinking_control import read_judgement
from ponder.verifiers._shown import LONGEST, parts, request_text

__all__ = ["TranslationJudge"]

_MOST = {"direct": 100, "anchored": 100, "five": 5}


@verifiers(
    "translation_judge",
    card=3,
    paper="arXiv:2510.06471",
    fidelity="code",
    tags={"where": ("translation", "evaluation"), "how_well": ("accuracy",)},
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class TranslationJudge:
    """Scores translations.

    Attributes:
        scale: "direct" and "anchored" run from 0 to 100, "five" from 0 to 5.
        max_tokens: most tokens of one reply, >= 1.
        temperature: of the reply (the paper has 0.1).
    """

    scale: Literal["direct", "anchored", "five"] = "direct"
    max_tokens: int = 32
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if self.scale not in _MOST:
            raise ConfigError(f"scale must be one of {', '.join(_MOST)}, got {self.scale!r}")
        if self.max_tokens < 1 or not self.temperature >= 0:
            raise ConfigError("the judge needs max_tokens >= 1 and temperature >= 0")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score every candidate; missing for a failed call, an unreadable reply, or once the run must end."""
        first: dict[str, int] = {}
        for candidate in candidates:
            if candidate.ok:
                first.setdefault(candidate.text, candidate.index)
        found = await gather_all([partial(self._ask, task, text, ctx, i) for text, i in first.items()])
        scores = dict(zip(first, found, strict=True))
        return [scores[c.text] if c.ok else Score.missing(f"no answer: {c.error}") for c in candidates]

    async def _ask(self, task: Task, translation: str, ctx: Context, index: int) -> Score:
        about = task.metadata
        text = parts("translation_judge")[self.scale].substitute(
            source=str(about.get("source", request_text(task))),
            source_language=str(about.get("source_language", "the source language")),
            target_language=str(about.get("target_language", "the target language")),
            translation=translation[:LONGEST],
        )
        try:
            reply = await ctx.model("judge").ask(
                (Message("user", text),),
                path=("translation", self.scale, task.id, index),
                sampling=Sampling(temperature=self.temperature, top_p=1.0, max_tokens=self.max_tokens),
            )
        except Interrupted as err:
            return Score.missing(f"not judged: {err}")
        except (ProviderError, BadInput) as err:  # BadInput: it does not fit the judge's context
            return Score.missing(f"the judge failed: {err}")
        value = read_judgement(unthought(reply.text))
        if value is None:
            return Score.missing("the judge's score cannot be read")
        if value > _MOST[self.scale]:
            return Score.missing(f"the judge's score {value} is off the scale")
        return Score(value=float(value), reason=reply.text.strip()[:200])
