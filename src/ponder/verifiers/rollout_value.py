"""Roll-out value: a partial answer is worth the share of its completions that another verifier accepts.

Source: Monte-Carlo estimates of a step's value, as the soft labels of Snell et al. 2024, arXiv:2408.03314 (card 04,
E.18), but judged by a verifier that needs no gold, at run time, instead of a trained model.
Differs: completions that cannot be judged are left out of the share; where none can the value is missing. A finished
answer is judged as it is, without a roll-out.
Cost: k calls of the role "rollout" (the policy, unless it has its own model) for each partial answer, whole answers
each: much more than the search that it guides. Needs: exact continuation of a prefix; a verifier of whole answers.
When: no step verifier at hand, and answers that a program can check.
When not: a trained step verifier costs one pass where this costs k answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ponder.core import registry
from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context, Verifier
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Request
from ponder.core.registry import verifiers
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.engines.tree import Prefix

__all__ = ["RolloutValue"]


# `score` makes no call; `score_steps` is for searches, which need the continuation of a prefix themselves.
@verifiers("rollout_value", access=())
@dataclass(frozen=True, kw_only=True)
class RolloutValue:
    """Values partial answers by rolling them out.

    Attributes:
        k: roll-outs of each, >= 1.
        verifier: name of the verifier that judges whole answers.
        accept: least score of an accepted answer.
    """

    k: int = 4
    verifier: str = "arithmetic"
    accept: float = 0.5

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k must be at least 1, got {self.k!r}")
        if self.verifier == "rollout_value":
            raise ConfigError("rollout_value needs another verifier to judge whole answers")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Return 1 for each answer that the other verifier accepts, else 0; missing where it has no score."""
        judge: Verifier = registry.verifiers.get(self.verifier).make()
        return [self._verdict(score) for score in await judge.score(task, candidates, ctx)]

    async def score_steps(self, task: Task, prefixes: Sequence[Prefix], ctx: Context) -> list[Score]:
        """Return the share of accepted roll-outs of each prefix."""
        completed = await gather_all([partial(self._complete, task, prefix, ctx) for prefix in prefixes])
        answers = ctx.answers(task)
        texts = [text for found in completed for text in found]
        shown = [
            Candidate(index=i, message=Message("assistant", t), answer=answers.extract(t), finish="stop")
            for i, t in enumerate(texts)
        ]
        verdicts = iter(await self.score(task, shown, ctx))
        return [self._share([next(verdicts) for _ in found]) for found in completed]

    async def _complete(self, task: Task, prefix: Prefix, ctx: Context) -> list[str]:
        """Return whole answers that begin with the prefix."""
        if prefix.finished:
            return [prefix.text]
        request = Request(messages=task.messages, prefix=prefix.text, n=self.k, sampling=ctx.sampling)
        try:
            draws = await ctx.model("rollout").sample(request, path=("rollout", task.id, *prefix.node))
        except BadInput:
            return []  # the prefix leaves no room for an answer
        complete = [d.completion for d in draws if d.completion is not None and d.interrupted is None]
        return [prefix.text + completion.text for completion in complete]

    def _verdict(self, score: Score) -> Score:
        return score if score.value is None else Score(value=float(score.value >= self.accept), reason=score.reason)

    @staticmethod
    def _share(verdicts: Sequence[Score]) -> Score:
        known = [verdict.value for verdict in verdicts if verdict.value is not None]
        if not known:
            return Score.missing(verdicts[0].reason if verdicts else "no roll-out came back")
        return Score(value=sum(known) / len(known), reason=f"{sum(known):g} of {len(known)} roll-outs accepted")
