"""Scaling: by how much accuracy grows per unit of cost along a curve, as the mean over all pairs of its places.

Source: metric 9 of the survey of Zhang et al. 2025, arXiv:2503.24235 (card 63), the scaling metric of s1.
Differs: cost is the measured mean of a place; only questions run and graded at every place count, so that no place is
easier than another. Intervals resample these questions with all their places.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.bench.metrics._levels import panel, resampled
from ponder.bench.metrics.metric import Cost, Measure, check_cost, curves, missing
from ponder.bench.rows import Row
from ponder.core.registry import metrics
from ponder.numerics.arise import Levels
from ponder.numerics.slopes import pairwise_slope

__all__ = ["Scaling"]


@metrics("scaling", card=63, paper="arXiv:2503.24235", fidelity="paper", tags={"how_well": ("scalability",)})
@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Mean pairwise slope.

    Attributes:
        cost: unit of the cost.
        seed: of the resampling.
    """

    cost: Cost = "tokens"
    seed: int = 0

    def __post_init__(self) -> None:
        check_cost(self.cost)

    def compute(self, rows: Sequence[Row]) -> list[Measure]:
        """Return `scaling` of each curve."""
        unit = f"accuracy per {self.cost}"
        found = []
        for group, places in curves(rows).items():
            lined = panel(places, self.cost)
            questions = list(lined.questions.values())
            if len(places) < 2 or not questions:
                why = f"needs two places with the same graded questions and known {self.cost}"
                found.append(missing("scaling", group, why, unit=unit))
                continue
            slope = _slope(lined.means())
            if slope is None:
                found.append(missing("scaling", group, "two places cost the same", unit=unit))
                continue
            limits = resampled(questions, _slope, seed=self.seed)
            found.append(
                Measure(
                    name="scaling",
                    value=slope,
                    unit=unit,
                    group=group,
                    interval=limits,
                    prompts=len(questions),
                    note=lined.note(),
                )
            )
        return found


def _slope(means: Levels) -> float | None:
    costs = means.tokens
    return pairwise_slope(costs, means.accuracies) if len(set(costs)) == len(costs) else None
