"""Length deviation: how far runs are from the length that was asked for, relative to it.

Source: metric 8 of the survey of Zhang et al. 2025, arXiv:2503.24235 (card 63): the mean deviation and its root mean
square. Length is the policy's completion tokens.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ponder.bench.metrics.metric import Measure, cost_of, mean_measure, missing, points
from ponder.bench.rows import Row
from ponder.core.errors import ConfigError
from ponder.core.registry import metrics
from ponder.numerics.control import length_deviation

__all__ = ["LengthDeviation"]


@metrics(
    "length_deviation", card=63, paper="arXiv:2503.24235", fidelity="paper", tags={"how_well": ("controllability",)}
)
@dataclass(frozen=True, kw_only=True)
class LengthDeviation:
    """Relative distance from a wanted length.

    Attributes:
        wanted: tokens, above 0; None takes them from each run's method, by
        setting: the name of the setting that asks for them. Runs whose method has no such number are left out.
        seed: of the resampling.
    """

    wanted: float | None = None
    setting: str = "thinking_tokens"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.wanted is not None and not self.wanted > 0:
            raise ConfigError(f"wanted must be above 0, got {self.wanted!r}")

    def compute(self, rows: Sequence[Row]) -> list[Measure]:
        """Return `length_deviation` and `length_deviation_rms` of each place."""
        found: list[Measure] = []
        for group, members in points(rows).items():
            off = [(row.problem, size) for row in members if (size := self._deviation(row)) is not None]
            if not off:
                why = f"no length was given, and no run's method has the setting {self.setting!r}"
                found += [
                    missing(name, group, why, unit="ratio") for name in ("length_deviation", "length_deviation_rms")
                ]
                continue
            prompts = [problem for problem, _ in off]
            sizes = [size for _, size in off]
            squares = [size * size for size in sizes]
            found += [
                mean_measure("length_deviation", group, sizes, prompts, unit="ratio", seed=self.seed),
                mean_measure(
                    "length_deviation_rms", group, squares, prompts, unit="ratio", seed=self.seed, change=math.sqrt
                ),
            ]
        return found

    def _deviation(self, row: Row) -> float | None:
        wanted = self.wanted if self.wanted is not None else row.settings.get(self.setting)
        length = cost_of(row, "completion_tokens")
        if not isinstance(wanted, int | float) or not wanted > 0 or length is None:
            return None
        deviation = length_deviation([length], [wanted])
        return None if deviation is None else deviation.mean
