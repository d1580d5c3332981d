"""Efficiency: right answers per unit of cost, and E3, which does not prefer cheap and wrong.

Source: eta = E[Q / C], metric 3 of the survey of Zhang et al. 2025, arXiv:2503.24235 (card 63); E3 = A^2 / T of
Plan-and-Budget, arXiv:2505.16122 (card 60), with A in percent and T the policy's completion tokens of a run.
Differs: nominal cost; what a response store saved does not make a method efficient.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.bench.metrics.metric import (
    Cost,
    Group,
    Measure,
    check_cost,
    cost_of,
    mean_cost,
    mean_measure,
    missing,
    points,
)
from ponder.bench.rows import Row
from ponder.core.registry import metrics
from ponder.numerics.economy import e3

__all__ = ["Efficiency"]


@metrics("efficiency", card=63, paper="arXiv:2503.24235", fidelity="paper", tags={"how_well": ("efficiency",)})
@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """Value for cost.

    Attributes:
        cost: unit of the cost in eta.
        seed: of the resampling.
    """

    cost: Cost = "tokens"
    seed: int = 0

    def __post_init__(self) -> None:
        check_cost(self.cost)

    def compute(self, rows: Sequence[Row]) -> list[Measure]:
        """Return `eta` and `e3` of each place."""
        found = []
        for group, members in points(rows).items():
            graded = [row for row in members if row.correct is not None]
            found += [self._eta(group, graded), _e3(group, graded)]
        return found

    def _eta(self, group: Group, graded: Sequence[Row]) -> Measure:
        unit = f"right answers per {self.cost}"
        values = [row.correct / cost for row in graded if (cost := cost_of(row, self.cost)) and row.correct is not None]
        if not values or len(values) < len(graded):
            return missing("eta", group, f"a run has no grade or no known {self.cost}", unit=unit)
        return mean_measure("eta", group, values, [row.problem for row in graded], unit=unit, seed=self.seed)


def _e3(group: Group, graded: Sequence[Row]) -> Measure:
    unit = "percent^2 per token"
    tokens = mean_cost(graded, "completion_tokens")
    if not tokens:
        return missing("e3", group, "no run has a grade and wrote tokens", unit=unit)
    accuracy = 100 * sum(bool(row.correct) for row in graded) / len(graded)
    return Measure(
        name="e3", value=e3(accuracy, tokens), unit=unit, group=group, prompts=len({row.problem for row in graded})
    )
