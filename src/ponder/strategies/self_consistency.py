"""Self-consistency: sample n answers and return the one that most of them reach.

Paper: Wang et al. 2022, arXiv:2203.11171. Early stops: "exact" ends the sampling once the vote can no longer change
(so the winner is that of all n); "bayes" is adaptive-consistency's stop rule (Aggarwal et al. 2023, arXiv:2305.11860)
at a stated confidence; "gain" is that of TTSPM (Wang et al. 2025, arXiv:2505.20522, card 55): one more sample is
expected to add no more than a stated accuracy, with agreement in place of being right.
Differs: answers are grouped by equality of their type (1/2 and 0.5 are one); an answer that cannot be read votes for
nothing; equal counts go to the answer seen first. With no readable answer at all the result has none.
Cost: n calls in one round; with an early stop fewer, in waves of `ahead`. Needs: an answer type whose answers can be
equal: not free text.
When: short answers that can be compared, and no verifier at hand.
When not: open-ended writing (every answer is its own group), or where the model is wrong more often than right in the
same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Task
from ponder.engines.sample import StopRule, sample
from ponder.numerics.saturation import gain_is_spent
from ponder.numerics.stopping import leader_is_stable, vote_is_decided
from ponder.numerics.votes import majority

__all__ = ["SelfConsistency"]


@strategies(
    "self_consistency",
    paper="arXiv:2203.11171",
    fidelity="paper",
    tags={"what": ("parallel",), "how": ("sampling", "voting"), "where": ("reasoning",), "how_well": ("accuracy",)},
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class SelfConsistency:
    """Majority vote over samples.

    Attributes:
        n: samples, >= 1.
        early_stop: "none", "exact", "bayes" or "gain".
        confidence: for "bayes": stop when the leader stays ahead of the runner-up with this probability, in (0.5, 1).
        least_gain: for "gain": accuracy that one more sample must be expected to add, > 0; with a cost per sample and
            a worth of accuracy, their ratio.
        ahead: samples in flight at once while an early stop may come; fewer waste less, more are quicker.
    """

    n: int = 16
    early_stop: Literal["none", "exact", "bayes", "gain"] = "exact"
    confidence: float = 0.95
    least_gain: float = 0.01
    ahead: int = 4

    def __post_init__(self) -> None:
        if self.n < 1 or self.ahead < 1:
            raise ConfigError(f"n and ahead must be at least 1, got n={self.n!r}, ahead={self.ahead!r}")
        if self.early_stop not in ("none", "exact", "bayes", "gain"):
            raise ConfigError(f"early_stop must be none, exact, bayes or gain, got {self.early_stop!r}")
        if not 0.5 < self.confidence < 1:
            raise ConfigError(f"confidence must be in (0.5, 1), got {self.confidence!r}")
        if not self.least_gain > 0:
            raise ConfigError(f"least_gain must be above 0, got {self.least_gain!r}")

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": self.n}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sample, vote, return the first candidate that gave the winning answer."""
        drawn = await sample(task, ctx, n=self.n, stop=self._rule(), ahead=self.ahead)
        winner = majority(drawn.groups)
        detail = drawn.detail
        if drawn.stopped == "agreement":
            detail = f"decided after {len(drawn.candidates)} of {self.n} samples"
        return ctx.result(drawn.candidates, best=winner, stopped=drawn.stopped, detail=detail)

    def _rule(self) -> StopRule | None:
        match self.early_stop:
            case "none":
                return None
            case "exact":
                return vote_is_decided
            case "bayes":

                def stable(groups: Sequence[int | None], left: int) -> bool:
                    return leader_is_stable(groups, confidence=self.confidence)

                return stable
            case "gain":

                def spent(groups: Sequence[int | None], left: int) -> bool:
                    return gain_is_spent(groups, eps=self.least_gain)

                return spent
