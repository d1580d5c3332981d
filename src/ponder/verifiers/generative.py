"""Generative verifier: a model reasons about one answer, then states a verdict; several verdicts make a share.

Paper: Zhou et al. 2025, arXiv:2509.17995 (verification dynamics, card 21): one greedy verdict, read from what follows
the last "Verdict:". With `votes` > 1 the score is the share of readable verdicts that say Correct: over 1/2 the
majority accepts, and 1/2 is a tie.
Differs: the prompt is ours; it goes into one user turn, so that models without a system role take it; an unreadable
verdict is missing and adds nothing (the paper's half credit belongs to measuring: `ponder.numerics.verification`).
Accepts too much of strong generators' wrong answers, and rejects right answers to problems that it cannot solve
itself: measure its rates where it matters.
Cost: `votes` calls of the role "judge" for each distinct answer text, in parallel. Needs: nothing beyond text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError
from ponder.core.metered import Metered
from ponder.core.model import Request, Sampling
from ponder.core.registry import verifiers
from ponder.core.siblings import Draw
from ponder.core.task import Task
from ponder.core.tasks import gather_all
from ponder.numerics.verification import read_verdict
from ponder.verifiers._shown import LONGEST, filled, request_text

__all__ = ["Generative"]


@verifiers("generative", card=21, paper="arXiv:2509.17995", fidelity="code", since="0.1")
@dataclass(frozen=True, kw_only=True)
class Generative:
    """Verdicts with reasons.

    Attributes:
        votes: verdicts on each answer, >= 1.
        temperature: of a verdict; 0 is greedy, and must be above 0 for more than one.
        max_tokens: most tokens of one verdict with its reasons, >= 1; thinking models need some 8192.
    """

    votes: int = 1
    temperature: float = 0.0
    max_tokens: int = 1024

    def __post_init__(self) -> None:
        if self.votes < 1 or self.max_tokens < 1 or not self.temperature >= 0:
            raise ConfigError("the generative verifier needs votes >= 1, max_tokens >= 1 and temperature >= 0")
        if self.votes > 1 and not self.temperature:
            raise ConfigError("greedy verdicts are all alike: for votes > 1 set a temperature above 0")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score every candidate; missing for failed calls, unreadable verdicts, or once the run must end."""
        first: dict[str, int] = {}
        for candidate in candidates:
            if candidate.ok:
                first.setdefault(candidate.text, candidate.index)
        judge = ctx.model("judge")
        found = await gather_all([partial(self._verify, judge, task, text, i) for text, i in first.items()])
        by_text = dict(zip(first, found, strict=True))
        return [
            by_text[candidate.text] if candidate.ok else Score.missing(f"no answer: {candidate.error}")
            for candidate in candidates
        ]

    async def _verify(self, judge: Metered, task: Task, answer: str, index: int) -> Score:
        request = Request(
            messages=filled("generative.md", task, request=request_text(task), answer=answer[:LONGEST]),
            sampling=Sampling(temperature=self.temperature, top_p=1.0, max_tokens=self.max_tokens),
            n=self.votes,
        )
        try:
            draws = await judge.sample(request, path=("generative", task.id, index))
        except BadInput as err:  # the answer does not fit the judge's context
            return Score.missing(f"the verifier failed: {err}")
        # A verdict that the end of the run broke off is none, even where its words so far would read as one.
        texts = [
            draw.completion.text
            for draw in draws
            if draw.completion is not None and draw.completion.finish != "cancelled"
        ]
        verdicts = [verdict for text in texts if (verdict := read_verdict(text)) is not None]
        if not verdicts:
            return Score.missing(_why(draws))
        share = sum(verdicts) / len(verdicts)
        if self.votes == 1:
            return Score(value=share, reason=texts[0].strip()[-500:])
        return Score(value=share, reason=f"{sum(verdicts)} of {len(verdicts)} readable verdicts say Correct")


def _why(draws: Sequence[Draw]) -> str:
    for draw in draws:
        if draw.interrupted is not None:
            return f"not judged: {draw.interrupted}"
        if draw.error is not None:
            return f"the verifier failed: {draw.error}"
    cut = any(draw.completion is not None and draw.completion.finish == "length" for draw in draws)
    return "no verdict can be read" + (" (it was cut)" if cut else "")
