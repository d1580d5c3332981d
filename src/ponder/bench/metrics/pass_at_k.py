"""pass@k: how often at least one of k samples is right, from the graded samples that runs kept.

Source: Chen et al. 2021, arXiv:2107.03374 (unbiased form), metric 1 of the survey, arXiv:2503.24235 (card 63).
Differs: taken from the runs with the most samples of a curve; prompts with fewer than k graded samples are left out,
and the count of prompts says so. The form is exact for independent samples only.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.bench.metrics._samples import at_each_k, check_ks
from ponder.bench.metrics.metric import Measure
from ponder.bench.rows import Row
from ponder.core.registry import metrics
from ponder.numerics.pass_at_k import pass_at_k

__all__ = ["PassAtK"]


@metrics("pass_at_k", card=63, paper="arXiv:2107.03374", fidelity="paper", tags={"how_well": ("accuracy",)})
@dataclass(frozen=True, kw_only=True)
class PassAtK:
    """Coverage of k samples.

    Attributes:
        ks: sizes to report, each >= 1.
        seed: of the resampling.
    """

    ks: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "ks", check_ks(self.ks))

    def compute(self, rows: Sequence[Row]) -> list[Measure]:
        """Return `pass@k` of each curve, with k in the place of n."""
        return at_each_k(
            "pass",
            rows,
            self.ks,
            lambda samples, k: pass_at_k(len(samples), sum(s.right for s in samples), k),
            self.seed,
        )
