"""cons@k: how often the most frequent of k answers is right, from the graded samples that runs kept.

Source: metric 2 of the survey of Zhang et al. 2025, arXiv:2503.24235 (card 63); the mean over all subsets of k samples
is our own exact count (`ponder.numerics.pass_at_k.majority_at_k`), equal counts go to the answer seen first.
Differs: taken from the runs with the most samples of a curve; an answer that cannot be read forms no group.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ponder.bench.metrics._samples import Sample, at_each_k, check_ks
from ponder.bench.metrics.metric import Measure
from ponder.bench.rows import Row
from ponder.core.registry import metrics
from ponder.numerics.pass_at_k import majority_at_k

__all__ = ["ConsAtK"]


@metrics("cons_at_k", card=63, paper="arXiv:2503.24235", fidelity="paper", tags={"how_well": ("accuracy",)})
@dataclass(frozen=True, kw_only=True)
class ConsAtK:
    """Accuracy of the majority of k samples.

    Attributes:
        ks: sizes to report, each >= 1.
        seed: of the resampling.
    """

    ks: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "ks", check_ks(self.ks))

    def compute(self, rows: Sequence[Row]) -> list[Measure]:
        """Return `cons@k` of each curve, with k in the place of n."""
        return at_each_k("cons", rows, self.ks, _majority, self.seed)


def _majority(samples: Sequence[Sample], k: int) -> float:
    groups = [sample.group for sample in samples]
    # Answers that are all right may still be different groups; at most one of them wins a vote.
    right = {sample.group for sample in samples if sample.right and sample.group is not None}
    return _sum(tuple(groups), k, tuple(sorted(right)))


@lru_cache(maxsize=10_000)  # curves that share their samples share the count
def _sum(groups: tuple[int | None, ...], k: int, right: tuple[int, ...]) -> float:
    return math.fsum(majority_at_k(groups, k, correct=group) for group in right)
