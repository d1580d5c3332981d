"""LLM judge: a model reads one answer at a time and gives it 0 to 10.

Paper: Zheng et al. 2023, arXiv:2306.05685 (single-answer grading).
Differs: our own prompt, a scale from 0, no reference answer shown; a score that cannot be read is missing.
Cost: one call of the role "judge" for each distinct answer text, in parallel. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, ProviderError
from ponder.core.metered import Metered
from ponder.core.model import Sampling
from ponder.core.registry import verifiers
from ponder.core.task import Task
from ponder.core.tasks import gather_all
from ponder.verifiers._shown import LONGEST, filled, request_text

__all__ = ["Judge", "read_score"]

_SCORE = re.compile(r"\bscore\s*[:=]\s*[*_`]*\s*(-?\d{1,9}(?:\.\d{1,9})?)(?![.\d])\s*(?:/\s*10\b|(?!/))", re.IGNORECASE)


@verifiers("judge", paper="arXiv:2306.05685", fidelity="reconstructed")
@dataclass(frozen=True, kw_only=True)
class Judge:
    """Grades each answer from 0 to 10.

    Attributes:
        max_tokens: most tokens of one verdict, >= 1.
        temperature: of the verdict; 0 is greedy.
    """

    max_tokens: int = 200
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or not self.temperature >= 0:
            raise ConfigError("the judge needs max_tokens >= 1 and temperature >= 0")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score every candidate; missing for a failed call, an unreadable verdict, or once the run must end."""
        first: dict[str, int] = {}
        for candidate in candidates:
            if candidate.ok:
                first.setdefault(candidate.text, candidate.index)
        judge = ctx.model("judge")
        verdicts = await gather_all([partial(self._grade, judge, task, text, i) for text, i in first.items()])
        by_text = dict(zip(first, verdicts, strict=True))
        return [
            by_text[candidate.text] if candidate.ok else Score.missing(f"no answer: {candidate.error}")
            for candidate in candidates
        ]

    async def _grade(self, judge: Metered, task: Task, answer: str, index: int) -> Score:
        sampling = Sampling(temperature=self.temperature, top_p=1.0, max_tokens=self.max_tokens)
        try:
            verdict = await judge.ask(
                filled("judge.md", task, request=request_text(task), answer=answer[:LONGEST]),
                path=("judge", index),
                sampling=sampling,
            )
        except Interrupted as err:
            return Score.missing(f"not judged: {err}")
        except (ProviderError, BadInput) as err:  # BadInput: the answer does not fit the judge's context
            return Score.missing(f"the judge failed: {err}")
        score = read_score(verdict.text)
        if score is None:
            cut = " (it was cut)" if verdict.finish == "length" else ""
            return Score.missing(f"the judge's verdict cannot be read{cut}")
        return Score(value=score, reason=verdict.text.strip()[:500])


def read_score(verdict: str) -> float | None:
    """Return the score in [0, 10] that a verdict states, or None: no score, several different ones, out of range."""
    found = {float(number) for number in _SCORE.findall(verdict)}
    if len(found) != 1:
        return None
    score = found.pop()
    return score if 0 <= score <= 10 else None
