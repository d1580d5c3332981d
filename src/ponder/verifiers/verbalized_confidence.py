"""Verbalised confidence: the number that a model gives when it is asked how likely an answer is right.

Paper: Zeng et al. 2025, arXiv:2504.06564 (card 25). "reflect" is the paper's self-reflection: a second call sees the
problem and the response, looks at it critically and ends with a confidence. "stated" takes what the answer itself
states between confidence tags (vanilla and probability prompts, see the method `stated_confidence`) and makes no call.
Differs: our own wording; the response is shown without its thought; any judge model may reflect, by default the policy.
A number that cannot be read is missing, never 0. With `fill` (ours) the reply is begun with the opening tag, so that a
model too small to keep the form writes a number and nothing else; it then reflects on nothing.
Cost: one call of the role "judge" for each distinct answer, or none with "stated". Needs: nothing beyond text;
`Access.PREFIX` with `fill`.
When: a reasoning model, whose stated confidence is worth something; as a stop rule for any method that takes a
verifier, e.g. `best_of_n` with accept=0.9 draws until an answer is trusted so much.
When not: small or plain instruction models, which say 90 % to nearly everything: measure first, with `ponder study
verbalized-confidence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from ponder.core.access import Access
from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, ProviderError
from ponder.core.model import Sampling
from ponder.core.registry import verifiers
from ponder.core.task import Task
from ponder.core.tasks import gather_all
from ponder.numerics.stated_confidence import Form, last_tag, read_confidence
from ponder.verifiers._shown import LONGEST, filled, request_text

__all__ = ["VerbalizedConfidence"]

_OPEN, _CLOSE = "<confidence>", "</confidence>"
_NUMBER = 8  # tokens that hold any number with its sign

_UNITS: dict[Form, tuple[str, str]] = {
    "percent": ("a percentage from 0% to 100%", "80%"),
    "probability": ("a probability from 0.0 to 1.0", "0.8"),
}


@verifiers(
    "verbalized_confidence",
    card=25,
    paper="arXiv:2504.06564",
    fidelity="paper",
    tags={"how": ("verification", "self-evaluation"), "where": ("knowledge", "math"), "how_well": ("calibration",)},
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class VerbalizedConfidence:
    """Confidence in [0, 1] that each answer is right.

    Attributes:
        source: "reflect" asks about each answer; "stated" reads what the answer states; "either" asks only where it
            states nothing that can be read.
        form: what is asked for and how a number is read: "percent" or "probability".
        fill: begin the reply with the opening tag; needs `Access.PREFIX` of the judge.
        max_tokens: most tokens of a reflection, >= 1.
        temperature: of a reflection; 0 is greedy.
    """

    source: Literal["reflect", "stated", "either"] = "reflect"
    form: Form = "percent"
    fill: bool = False
    max_tokens: int = 1024
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if self.source not in ("reflect", "stated", "either") or self.form not in _UNITS:
            raise ConfigError(f"no source {self.source!r} with form={self.form!r}")
        if self.max_tokens < 1 or not self.temperature >= 0:
            raise ConfigError("needs max_tokens >= 1 and temperature >= 0")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score whole answers; equal texts are asked about once."""
        known: dict[str, Score] = {}
        asked: dict[str, int] = {}
        for candidate in candidates:
            if not candidate.ok or candidate.text in known or candidate.text in asked:
                continue
            stated = Score.missing("not asked") if self.source == "reflect" else self._read(candidate.text)
            if self.source == "stated" or stated.value is not None:
                known[candidate.text] = stated
            else:
                asked[candidate.text] = candidate.index
        replies = await gather_all([partial(self._ask, task, text, at, ctx) for text, at in asked.items()])
        known |= dict(zip(asked, replies, strict=True))
        return [known[c.text] if c.ok else Score.missing(f"no answer: {c.error}") for c in candidates]

    async def _ask(self, task: Task, text: str, index: int, ctx: Context) -> Score:
        unit, example = _UNITS[self.form]
        shown = text.rpartition("</think>")[2].strip()[:LONGEST]
        chat = filled(
            "verbalized_confidence.md",
            task,
            request=request_text(task),
            answer=shown,
            unit=unit,
            example=example,
        )
        law = Sampling(temperature=self.temperature, top_p=1.0, max_tokens=self.max_tokens)
        path = ("confidence", task.id, index)
        judge = ctx.model("judge")
        try:
            if self.fill:
                judge.require(Access.PREFIX, what="a confidence that is filled in")
                short = replace(law, max_tokens=min(self.max_tokens, _NUMBER), stop=(_CLOSE,))
                reply = await judge.ask(chat, path=path, sampling=short, prefix=_OPEN)
                return self._read(_OPEN + reply.text + _CLOSE)
            reply = await judge.ask(chat, path=path, sampling=law)
        except (BadInput, Interrupted, ProviderError) as err:
            return Score.missing(f"not asked: {err}")
        score = self._read(reply.text)
        if score.value is None and reply.finish == "length":
            return Score.missing(f"{score.reason} (the reply was cut)")
        return score

    def _read(self, text: str) -> Score:
        said = last_tag(text, "confidence")
        if said is None:
            return Score.missing("there is no confidence tag")
        value, odd = read_confidence(said, self.form)
        return Score(value=value, reason=odd or f"stated: {said[:80]}")
