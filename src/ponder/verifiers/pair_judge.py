"""Pair judge: a model says which of two answers is better, in both orders; an answer's score is its share of points.

Paper: Zheng et al. 2023, arXiv:2306.05685 (pairwise comparison, positions swapped; disagreement is a tie).
Differs: our own prompt; the verdict is the last [[A]], [[B]] or, for an explicit tie, [[C]]; one that cannot be read is
missing; every distinct answer meets every other, or `opponents` neighbours around a circle. Points are comparable only
among answers that were judged together: there is nothing to score for a single one.
Cost: n (n - 1) calls of the role "judge" for n distinct answers (half without `swap`), times `votes`; with `opponents`
about 2 n opponents. Needs: nothing beyond text.
When: answers of which none is simply right: writing, translation, advice.
When not: with `accept` of best_of_n, which scores samples one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Request, Sampling
from ponder.core.registry import verifiers
from ponder.core.siblings import Draw
from ponder.core.task import Task
from ponder.numerics.judging import read_letter
from ponder.verifiers._pairs import Heard, Shown, compare_all, most_said
from ponder.verifiers._shown import LONGEST, filled, request_text

__all__ = ["PairJudge"]

_TIE = "\n[[C]] if neither is better"


@verifiers(
    "pair_judge",
    paper="arXiv:2306.05685",
    fidelity="reconstructed",
    tags={"where": ("evaluation", "open-ended"), "how_well": ("win-rate",)},
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class PairJudge:
    """Compares answers two by two.

    Attributes:
        swap: show each pair in both orders; where they disagree the pair is a tie.
        ties: let the judge call a tie.
        votes: verdicts on each presentation, of which the majority counts, >= 1.
        opponents: 0 compares all pairs; else each answer meets so many neighbours on either side.
        max_tokens: most tokens of one verdict with its reasons, >= 1.
        temperature: of a verdict; 0 is greedy, and must be above 0 for more than one vote.
    """

    swap: bool = True
    ties: bool = True
    votes: int = 1
    opponents: int = 0
    max_tokens: int = 1024
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if self.votes < 1 or self.opponents < 0 or self.max_tokens < 1 or not self.temperature >= 0:
            raise ConfigError("the judge needs votes >= 1, opponents >= 0, max_tokens >= 1 and temperature >= 0")
        if self.votes > 1 and not self.temperature:
            raise ConfigError("greedy verdicts are all alike: for votes > 1 set a temperature above 0")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score every candidate by its comparisons; missing for a lone answer, or where no verdict can be had."""

        async def ask(first: Shown, second: Shown) -> Heard:
            return await self._hear(task, first, second, ctx)

        return await compare_all(candidates, ask, swap=self.swap, opponents=self.opponents)

    async def _hear(self, task: Task, first: Shown, second: Shown, ctx: Context) -> Heard:
        request = Request(
            messages=filled(
                "pair_judge.md",
                task,
                request=request_text(task),
                first=first.text[:LONGEST],
                second=second.text[:LONGEST],
                tie=_TIE if self.ties else "",
            ),
            sampling=Sampling(temperature=self.temperature, top_p=1.0, max_tokens=self.max_tokens),
            n=self.votes,
        )
        try:
            draws = await ctx.model("judge").sample(request, path=("pair", task.id, first.number, second.number))
        except BadInput as err:  # the answers do not fit the judge's context
            return Heard(None, f"the judge failed: {err}")
        return most_said([self._read(draw) for draw in draws])

    def _read(self, draw: Draw) -> Heard:
        if draw.interrupted is not None:
            return Heard(None, f"not judged: {draw.interrupted}")
        if draw.error is not None or draw.completion is None:
            return Heard(None, f"the judge failed: {draw.error}")
        letter = read_letter(draw.completion.text, ties=self.ties)
        if letter is None:
            cut = " (it was cut)" if draw.completion.finish == "length" else ""
            return Heard(None, f"the judge's verdict cannot be read{cut}")
        return Heard(letter)
