"""Calibration: whether agreement among samples, or a verifier's score, says how likely an answer is right.

Source: expected calibration error and Brier score (`ponder.numerics.calibration`), area under the ROC curve
(`ponder.numerics.auc`); agreement as confidence is our own choice.
Differs: the binning is named with every value. Scores outside [0, 1] are no probabilities: only their ranking is told.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ponder.bench.metrics.metric import Group, Measure, mean_measure, missing, points
from ponder.bench.rows import Row
from ponder.core.errors import ConfigError
from ponder.core.registry import metrics
from ponder.numerics.auc import Counted, auc_interval
from ponder.numerics.calibration import Binning, calibration_error

__all__ = ["Calibration"]


class _Stated(NamedTuple):
    problem: str
    confidence: float
    right: bool


@metrics("calibration", tags={"how_well": ("calibration",)})
@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How far stated confidence is from being right.

    Attributes:
        confidence: "agreement" is the share of samples with the leading answer, of runs with at least two; "score" the
            verifier's score of each sample.
        bins: of the calibration error, at most.
        binning: "width" for equal parts of [0, 1], "mass" for equal counts.
        seed: of the resampling.
    """

    confidence: Literal["agreement", "score"] = "agreement"
    bins: int = 10
    binning: Binning = "width"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.confidence not in ("agreement", "score"):
            raise ConfigError(f"confidence must be agreement or score, got {self.confidence!r}")
        if self.bins < 1 or self.binning not in ("width", "mass"):
            raise ConfigError(f"need bins >= 1 and binning width or mass, got {self.bins!r} and {self.binning!r}")

    def compute(self, rows: Sequence[Row]) -> list[Measure]:
        """Return `ece`, `brier` and `auroc` of each place."""
        read = _agreement if self.confidence == "agreement" else _scores
        found: list[Measure] = []
        for group, members in points(rows).items():
            stated = [answer for row in members for answer in read(row)]
            found += [*self._probabilities(group, stated), self._ranking(group, stated)]
        return found

    def _probabilities(self, group: Group, stated: Sequence[_Stated]) -> list[Measure]:
        outside = any(not 0 <= answer.confidence <= 1 for answer in stated)
        if not stated or outside:
            why = (
                "scores outside [0, 1] are no probabilities" if outside else f"no graded samples with {self.confidence}"
            )
            return [missing(name, group, why, unit="error") for name in ("ece", "brier")]
        confidences, right = [a.confidence for a in stated], [a.right for a in stated]
        prompts = [answer.problem for answer in stated]
        ece = Measure(
            name="ece",
            value=calibration_error(confidences, right, bins=self.bins, binning=self.binning),
            unit="error",
            group=group,
            prompts=len(set(prompts)),
            note=f"{self.bins} bins of equal {self.binning}",
        )
        missed = [(answer.confidence - answer.right) ** 2 for answer in stated]
        return [ece, mean_measure("brier", group, missed, prompts, unit="error", seed=self.seed)]

    def _ranking(self, group: Group, stated: Sequence[_Stated]) -> Measure:
        trials = [Counted(a.confidence, float(a.right), float(not a.right), a.problem) for a in stated]
        area = auc_interval(trials, seed=self.seed)
        if area is None:
            return missing("auroc", group, "needs both right and wrong answers", unit="share of pairs")
        prompts = len({answer.problem for answer in stated})
        limits = (area.low, area.high) if prompts > 1 else None
        return Measure(
            name="auroc", value=area.value, unit="share of pairs", group=group, interval=limits, prompts=prompts
        )


def _agreement(row: Row) -> list[_Stated]:
    kept = row.evidence
    if kept is None or len(kept.groups) < 2 or not kept.grades:
        return []
    counts = Counter(group for group in kept.groups if group is not None)
    if not counts:
        return []
    leader, votes = counts.most_common(1)[0]  # equal counts: the first seen
    right = kept.grades[kept.groups.index(leader)]
    return [] if right is None else [_Stated(row.problem, votes / len(kept.groups), right)]


def _scores(row: Row) -> list[_Stated]:
    kept = row.evidence
    if kept is None or not kept.scores or not kept.grades:
        return []
    pairs = zip(kept.scores, kept.grades, strict=True)
    return [_Stated(row.problem, s, right) for s, right in pairs if s is not None and right is not None]
