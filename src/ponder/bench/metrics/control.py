"""Control: the share of runs whose cost stayed in the range that was asked for.

Source: metric 7 of the survey of Zhang et al. 2025, arXiv:2503.24235 (card 63).
Differs: without a range of its own, a run is held to the token limit of its recorded budget. Metric 10 of the
survey, (k, eps)-controllability, is no metric of runs: it needs the probability of a wanted output under each prompt
tried (`ponder.numerics.control.is_controllable`).
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ponder.bench.metrics.metric import Measure, mean_measure, missing, points
from ponder.bench.rows import Row
from ponder.core.budget import Budget
from ponder.core.errors import ConfigError
from ponder.core.registry import metrics
from ponder.numerics.control import control

__all__ = ["Control"]


@metrics("control", card=63, paper="arXiv:2503.24235", fidelity="paper", tags={"how_well": ("controllability",)})
@dataclass(frozen=True, kw_only=True)
class Control:
    """Share of runs within a range of nominal tokens, of all roles.

    Attributes:
        low: least tokens.
        high: most tokens; None takes the `tokens` of each run's budget, and runs without one are left out.
        seed: of the resampling.
    """

    low: float = 0.0
    high: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.low <= (math.inf if self.high is None else self.high):
            raise ConfigError(f"need 0 <= low <= high, got {self.low!r} and {self.high!r}")

    def compute(self, rows: Sequence[Row]) -> list[Measure]:
        """Return `control` of each place."""
        found = []
        for group, members in points(rows).items():
            held = [(row, high) for row in members if (high := self._high(row)) is not None]
            if not held:
                why = "no range was given, and no run has a budget of tokens"
                found.append(missing("control", group, why, unit="share"))
                continue
            values = [control([row.nominal.tokens], min(self.low, high), high) or 0.0 for row, high in held]
            prompts = [row.problem for row, _ in held]
            found.append(mean_measure("control", group, values, prompts, unit="share", seed=self.seed, share=True))
        return found

    def _high(self, row: Row) -> float | None:
        return self.high if self.high is not None else Budget.parse(row.budget).tokens
