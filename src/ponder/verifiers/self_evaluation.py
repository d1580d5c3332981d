"""Self-evaluation: ask the model whether an answer, or the part of it that is there, is right.

Source: Kadavath et al. 2022, arXiv:2207.05221 (a model judges its own samples), and Xie et al. 2023, arXiv:2305.00633
(the same for each step of a search); our own prompt and strict reading.
Differs: the verdict is read from the text, not from log-probabilities, so that any back-end will do; a reply without
exactly one verdict is missing, not 0.
Cost: `samples` calls of the role "judge" for each answer or prefix. Needs: nothing beyond text.
When: no verifier at hand, and a model that judges better than it answers.
When not: small models, which say yes to nearly everything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Request, Sampling
from ponder.core.registry import verifiers
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.engines.tree import Prefix
from ponder.verifiers._shown import LONGEST, filled, request_text

__all__ = ["SelfEvaluation", "read_verdict"]

_VERDICT = re.compile(
    r"^[ \t*_`]*verdict[ \t*_`]*[:=][ \t*_`]*(right|wrong)\b[ \t*_`.]*$", re.IGNORECASE | re.MULTILINE
)


@verifiers("self_evaluation")
@dataclass(frozen=True, kw_only=True)
class SelfEvaluation:
    """The share of "right" among the model's verdicts.

    Attributes:
        samples: verdicts on each answer, >= 1.
        temperature: of a verdict; with 0 more than one sample makes no sense.
        max_tokens: most tokens of a verdict, >= 1.
    """

    samples: int = 1
    temperature: float = 0.0
    max_tokens: int = 200

    def __post_init__(self) -> None:
        if self.samples < 1 or self.max_tokens < 1 or not self.temperature >= 0:
            raise ConfigError("samples and max_tokens must be at least 1, temperature at least 0")
        if self.samples > 1 and self.temperature == 0:
            raise ConfigError("several verdicts at temperature 0 are all the same: set a temperature")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Judge whole answers."""
        return await gather_all(
            [partial(self._judge, task, c.text, True, ("answer", c.index), ctx) for c in candidates]
        )

    async def score_steps(self, task: Task, prefixes: Sequence[Prefix], ctx: Context) -> list[Score]:
        """Judge partial answers."""
        return await gather_all(
            [partial(self._judge, task, p.text, p.finished, ("prefix", *p.node), ctx) for p in prefixes]
        )

    async def _judge(self, task: Task, text: str, whole: bool, place: tuple[str | int, ...], ctx: Context) -> Score:
        law = Sampling(temperature=self.temperature, top_p=1.0, max_tokens=self.max_tokens)
        request = Request(messages=_question(task, text, whole), n=self.samples, sampling=law)
        try:
            draws = await ctx.model("judge").sample(request, path=("self_evaluation", task.id, *place))
        except BadInput as err:
            return Score.missing(f"not judged: {err}")
        complete = [d.completion for d in draws if d.completion is not None and d.interrupted is None]
        if not complete:
            return Score.missing(f"not judged: {draws[0].error or draws[0].interrupted}")
        verdicts = [v for v in (read_verdict(completion.text) for completion in complete) if v is not None]
        if not verdicts:
            return Score.missing("the verdict cannot be read")
        return Score(value=sum(verdicts) / len(verdicts), reason=complete[0].text.strip()[:500])


def read_verdict(text: str) -> bool | None:
    """Return whether the verdict says "right"; None without a verdict, or with several that differ."""
    found = {match.lower() for match in _VERDICT.findall(text)}
    return found == {"right"} if len(found) == 1 else None


def _question(task: Task, text: str, whole: bool) -> tuple[Message, ...]:
    asked = (
        "The answer is complete. Judge whether its result is right."
        if whole
        else "The answer is not complete yet. Judge whether everything in it is right so far and leads to the goal."
    )
    return filled("self_evaluation.md", task, request=request_text(task), answer=text[:LONGEST], asked=asked)
