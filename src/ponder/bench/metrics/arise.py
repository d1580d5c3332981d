"""ARISE: per question, gains along a curve count less the more tokens they took, and losses count more.

Source: Yin et al. 2025, arXiv:2510.06014 (card 41), with the slope from first to last that it is compared with.
Differs: levels are the places of a curve in the order of n; tokens are completion tokens (the released script takes
all); only questions run and graded at every place count. Means over few runs bias the score down, for noise that falls
counts more than noise that rises: compare with a curve where nothing should change.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.bench.metrics._levels import mean_levels, panel
from ponder.bench.metrics.metric import Cost, Group, Measure, check_cost, curves, mean_measure, missing
from ponder.bench.rows import Row
from ponder.core.registry import metrics
from ponder.numerics.arise import Levels, arise, drops
from ponder.numerics.slopes import first_to_last_slope

__all__ = ["Arise"]


@metrics("arise", card=41, paper="arXiv:2510.06014", fidelity="code", tags={"how_well": ("scalability",)})
@dataclass(frozen=True, kw_only=True)
class Arise:
    """Resolution-aware scaling score; it depends on how many places a curve has.

    Attributes:
        cost: what the tokens of the formula are.
        seed: of the resampling.
    """

    cost: Cost = "completion_tokens"
    seed: int = 0

    def __post_init__(self) -> None:
        check_cost(self.cost)

    def compute(self, rows: Sequence[Row]) -> list[Measure]:
        """Return of each curve `arise`, the steps that fell and fell severely per question, and the plain slope."""
        found: list[Measure] = []
        for group, places in curves(rows).items():
            lined = panel(places, self.cost)
            if len(places) < 2 or not lined.questions:
                why = f"needs two places with the same graded questions and known {self.cost}"
                found.append(missing("arise", group, why, unit="score"))
                continue
            found += self._measures(group, list(lined.questions.values()), list(lined.questions), lined.note())
        return found

    def _measures(self, group: Group, questions: Sequence[Levels], prompts: Sequence[str], note: str) -> list[Measure]:
        fallen = drops(questions)
        count = len(questions)
        means = mean_levels(questions)
        scores = arise(questions).scores
        slope = first_to_last_slope(means.tokens, means.accuracies)
        return [
            mean_measure("arise", group, scores, prompts, unit="score", seed=self.seed, note=note),
            Measure(name="drops", value=len(fallen) / count, unit="steps per question", group=group, prompts=count),
            Measure(
                name="severe_drops",
                value=sum(drop.severe for drop in fallen) / count,
                unit="steps per question",
                group=group,
                prompts=count,
            ),
            Measure(
                name="first_to_last_slope", value=slope, unit=f"accuracy per {self.cost}", group=group, prompts=count
            ),
        ]
