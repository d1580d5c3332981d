"""Accuracy: the share of runs whose answer is right, at every place of every curve.

Source: our own; pass@1 of the survey of Zhang et al. 2025, arXiv:2503.24235 (card 63), for whole methods.
Differs: runs that nothing can grade are left out, and the count says so.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.bench.metrics.metric import Measure, mean_measure, missing, points
from ponder.bench.rows import Row
from ponder.core.registry import metrics

__all__ = ["Accuracy"]


@metrics("accuracy", tags={"how_well": ("accuracy",)})
@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Share of right answers.

    Attributes:
        seed: of the resampling.
    """

    seed: int = 0

    def compute(self, rows: Sequence[Row]) -> list[Measure]:
        """Return `accuracy` of each place."""
        found = []
        for group, members in points(rows).items():
            graded = [row for row in members if row.correct is not None]
            if not graded:
                found.append(missing("accuracy", group, "no run has a grade", unit="share"))
                continue
            values = [float(bool(row.correct)) for row in graded]
            note = "" if len(graded) == len(members) else f"{len(members) - len(graded)} runs without a grade left out"
            prompts = [row.problem for row in graded]
            found.append(
                mean_measure("accuracy", group, values, prompts, unit="share", seed=self.seed, share=True, note=note)
            )
        return found
