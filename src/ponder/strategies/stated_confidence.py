"""Stated confidence: one answer with the model's own confidence beside it, and none where that is too low.

Paper: Zeng et al. 2025, arXiv:2504.06564 (card 25): the prompts "vanilla" (a percentage), "probability", and
"self-reflection" (a second call judges the first one's response). The answer and the confidence are read from the last
pair of tags behind the thought.
Differs: our own wording. With `abstain` an answer that is trusted less is withheld, as is one that says it does not
know (ours; the paper counts the latter as not attempted). Without answer tags the answer is read from the whole text
and its confidence still counts.
Cost: 1 call; with reflection 1 more of the role "judge". Needs: nothing beyond text.
When: an application that can do without an answer rather than with a wrong one.
When not: models whose confidence does not tell right from wrong: `ponder study verbalized-confidence` measures it.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Literal

from ponder.core.access import Access
from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.model import Request
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.engines.refine import with_question
from ponder.numerics.stated_confidence import is_attempt, last_tag
from ponder.verifiers.verbalized_confidence import VerbalizedConfidence

__all__ = ["StatedConfidence"]

_SECOND = ("reflection", "fill")
SCORE = "verbalized_confidence"
_KINDS = {
    "math": "a math problem",
    "number": "a math problem",
    "choice": "a multiple-choice question",
    "code": "a programming problem",
}
_SHOWN = {"percent": ("a percentage from 0% to 100%", "80%"), "probability": ("a probability from 0.0 to 1.0", "0.8")}


@strategies(
    "stated_confidence",
    card=25,
    paper="arXiv:2504.06564",
    fidelity="paper",
    tags={
        "what": ("single",),
        "how": ("prompting", "self-evaluation"),
        "where": ("knowledge", "math"),
        "how_well": ("calibration",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class StatedConfidence:
    """One answer with a confidence in [0, 1], kept as its score "verbalized_confidence".

    Attributes:
        form: "percent" and "probability" ask for it in the same reply, "reflection" in a second call; "fill" (ours) in
            a second call whose reply is begun with the tag, for models that do not keep the form (needs
            `Access.PREFIX`).
        abstain: give no answer below this confidence, or without one, in [0, 1]; None gives every answer.
        reflection_tokens: most tokens of the second call, >= 1.
    """

    form: Literal["percent", "probability", "reflection", "fill"] = "percent"
    abstain: float | None = None
    reflection_tokens: int = 1024

    def __post_init__(self) -> None:
        if self.form not in ("percent", "probability", *_SECOND):
            raise ConfigError(f"form must be percent, probability, reflection or fill, got {self.form!r}")
        if self.abstain is not None and not 0 <= self.abstain <= 1:
            raise ConfigError(f"abstain must be in [0, 1], got {self.abstain!r}")
        if self.reflection_tokens < 1:
            raise ConfigError("reflection_tokens must be at least 1")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": 1, "judge": 1} if self.form in _SECOND else {"policy": 1}

    def access(self) -> frozenset[Access]:
        """What these settings need of the model."""
        return frozenset({Access.TEXT, Access.PREFIX} if self.form == "fill" else {Access.TEXT})

    async def run(self, task: Task, ctx: Context) -> Result:
        """Ask, read, and decide whether to answer."""
        request = Request(messages=self._chat(task), sampling=ctx.sampling)
        (draw,) = await ctx.model().sample(request, path=("stated_confidence", task.id))
        if draw.error is not None:
            raise draw.error
        if draw.completion is None:
            assert draw.interrupted is not None
            raise draw.interrupted
        text = draw.completion.text
        said = last_tag(text, "answer")
        attempted = is_attempt(text if said is None else said)
        candidate = Candidate(
            index=0,
            message=draw.completion.message,
            answer=ctx.answers(task).extract(text if said is None else said) if attempted else None,
            finish=draw.completion.finish,
            usage=draw.usage,
            completion=draw.completion,
            metadata={"attempted": attempted, "tagged": said is not None},
        )
        ctx.candidates.append(candidate)
        score = Score.missing("the reply was broken off")
        if draw.interrupted is None:
            (score,) = await ctx.judged(self._reader().score(task, [candidate], ctx))
        ctx.trace.instant("score", ctx.span, verifier=SCORE, index=0, score=score.to_json())
        candidate = ctx.candidates[-1] = candidate.scored(SCORE, score)
        stopped = "done" if draw.interrupted is None else draw.interrupted.reason
        if self.abstain is None or (score.value is not None and score.value >= self.abstain):
            return ctx.result([candidate], best=0, stopped=stopped, detail=score.reason if score.value is None else "")
        candidate = replace(candidate, answer=None, metadata={**candidate.metadata, "withheld": candidate.answer})
        known = "without one" if score.value is None else f"of {score.value:.0%}"
        return ctx.result([candidate], best=0, stopped=stopped, detail=f"no answer: confidence {known}")

    def _reader(self) -> VerbalizedConfidence:
        if self.form == "reflection" or self.form == "fill":
            return VerbalizedConfidence(fill=self.form == "fill", max_tokens=self.reflection_tokens)
        return VerbalizedConfidence(source="stated", form=self.form)

    def _chat(self, task: Task) -> tuple[Message, ...]:
        template = files(__package__).joinpath("prompts/stated_confidence.md").read_text(encoding="utf-8")
        lines, also, count = ["<answer>your answer</answer>"], "", "one line"
        if self.form in _SHOWN:
            unit, example = _SHOWN[self.form]
            also = f" and how sure you are that it is right, as {unit}"
            lines.append(f"<confidence>{example}</confidence>")
            count = "two lines"
        text = string.Template(template).substitute(
            question=task.prompt.rstrip(),
            kind=_KINDS.get(task.answer, "a question"),
            also=also,
            lines=count,
            format="\n".join(lines),
        )
        return with_question(task, text.rstrip("\n"))
