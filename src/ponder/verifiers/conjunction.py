"""Conjunction: an answer counts only if each of several verifiers accepts it.

Source: our own; the rule is that of Sheng et al. 2025, arXiv:2506.07927 (IneqMath, card 19), whose solutions must pass
five judges. One that rejects decides; where none rejects and one cannot tell, the score is missing.
Cost: that of all its verifiers, side by side. Needs: what they need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ponder.core import registry
from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import verifiers
from ponder.core.task import Task
from ponder.core.tasks import gather_all
from ponder.numerics.inequality import overall

__all__ = ["Conjunction"]


@verifiers("conjunction", tags={"where": ("evaluation",), "how_well": ("accuracy",)}, since="0.3")
@dataclass(frozen=True, kw_only=True)
class Conjunction:
    """All of several verifiers.

    Attributes:
        judges: registered names, with their default settings, at least one.
        above: for each the score that must be exceeded.
    """

    judges: tuple[str, ...] = ("generative", "judge")
    above: tuple[float, ...] = (0.5, 5.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "judges", tuple(self.judges))
        object.__setattr__(self, "above", tuple(self.above))
        if not self.judges or len(self.judges) != len(self.above):
            raise ConfigError(f"{len(self.judges)} judges need as many limits, got {len(self.above)}")
        if "conjunction" in self.judges:
            raise ConfigError("a conjunction cannot hold itself")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score 1 for an answer that all accept, 0 for one that any rejects."""
        made = [registry.verifiers.get(name).make() for name in self.judges]
        by_judge = await gather_all([partial(_ask, judge, task, candidates, ctx) for judge in made])
        return [self._all([scores[at] for scores in by_judge]) for at in range(len(candidates))]

    def _all(self, scores: Sequence[Score]) -> Score:
        passed = [
            None if score.value is None else score.value > limit
            for score, limit in zip(scores, self.above, strict=True)
        ]
        words = {True: "accepts", False: "rejects", None: "cannot tell"}
        told = "; ".join(
            f"{name} {words[one]}" + (f" ({score.reason[:200]})" if one is None else "")
            for name, one, score in zip(self.judges, passed, scores, strict=True)
        )
        found = overall(passed)
        return Score.missing(told) if found is None else Score(value=float(found), reason=told)


async def _ask(judge: object, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
    scores: list[Score] = await judge.score(task, candidates, ctx)  # type: ignore[attr-defined]
    return scores
