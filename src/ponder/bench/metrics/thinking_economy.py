"""Thinking economy: right answers that were found and left, and samples spent after the first right one.

Source: underthinking, outcome and process efficiency, metrics 4 to 6 of the survey of Zhang et al. 2025,
arXiv:2503.24235 (card 63).
Differs: rows do not mark thoughts inside an answer, so the unit is the sample: a run's position of its first right
sample, and its different answers, out of its samples. Samples drawn at once count in their order.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ponder.bench.metrics._samples import UNGRADED, samples_of
from ponder.bench.metrics.metric import Measure, mean_measure, missing, points
from ponder.bench.rows import Row
from ponder.core.registry import metrics
from ponder.numerics.economy import Spent, outcome_efficiency, process_efficiency, underthinking

__all__ = ["ThinkingEconomy"]

STATISTICS: dict[str, Callable[[Sequence[Spent]], float | None]] = {
    "underthinking": underthinking,
    "outcome_efficiency": outcome_efficiency,
    "process_efficiency": process_efficiency,
}


@metrics("thinking_economy", card=63, tags={"how_well": ("efficiency",)})
@dataclass(frozen=True, kw_only=True)
class ThinkingEconomy:
    """Where the samples of a run went.

    Attributes:
        seed: of the resampling.
    """

    seed: int = 0

    def compute(self, rows: Sequence[Row]) -> list[Measure]:
        """Return `underthinking` (of wrong runs), `outcome_efficiency` and `process_efficiency` of each place."""
        found = []
        for group, members in points(rows).items():
            spent = [(row.problem, one) for row in members if (one := _spent(row)) is not None]
            for name, statistic in STATISTICS.items():
                known = [(problem, value) for problem, one in spent if (value := statistic([one])) is not None]
                if known:
                    values, prompts = [value for _, value in known], [problem for problem, _ in known]
                    found.append(mean_measure(name, group, values, prompts, unit="share of samples", seed=self.seed))
                else:
                    why = "no graded run is wrong" if spent else UNGRADED
                    found.append(missing(name, group, why, unit="share of samples"))
        return found


def _spent(row: Row) -> Spent | None:
    samples = samples_of(row)
    if not samples or row.correct is None:
        return None
    first = next((at for at, sample in enumerate(samples, 1) if sample.right), None)
    distinct = len({sample.group for sample in samples if sample.group is not None})
    return Spent(total=len(samples), until_right=first, distinct=distinct, right=row.correct)
