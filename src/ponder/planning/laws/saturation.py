"""TTSPM as a law: accuracy saturates as F_max (1 - (1 - p)^N), and past a point more budget is not worth its cost.

Paper: Wang et al. 2025, arXiv:2505.20522 (card 55). Reconstructed: see `ponder.numerics.saturation`.
Differs: where questions differ in p, one p with a free ceiling shows a low ceiling that is not real;
`difficulty="spread"` fits a Beta spread of p with ceiling 1 instead (same number of parameters). The ceiling has a
bootstrap interval, and the saturation point is refused where that is wider than eps / p: small budgets alone leave the
ceiling open. The bootstrap draws each budget's accuracy anew, as if their questions were not the same.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ponder.core.errors import ConfigError
from ponder.core.registry import laws
from ponder.core.seeds import derive
from ponder.numerics.intervals import Interval
from ponder.numerics.saturation import BetaMix, SaturationModel, fit_weights
from ponder.planning.laws.law import Observation, Settings, goodness

__all__ = ["FittedSaturation", "Saturation"]


@laws("saturation", card=55, paper="arXiv:2505.20522", fidelity="reconstructed")
@dataclass(frozen=True, kw_only=True)
class Saturation:
    """A saturating curve.

    Attributes:
        difficulty: "equal" fits one p and a ceiling; "spread" fits a Beta spread of p over questions, with ceiling 1.
        eps: least gain in accuracy wanted of one more unit, > 0.
        resamples: bootstrap draws for the interval of the ceiling; 0 for none. Only with "equal".
        seed: of the bootstrap.
    """

    difficulty: Literal["equal", "spread"] = "equal"
    eps: float = 0.01
    resamples: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.difficulty not in ("equal", "spread"):
            raise ConfigError(f"difficulty must be equal or spread, got {self.difficulty!r}")
        if not self.eps > 0:
            raise ConfigError(f"eps must be above 0, got {self.eps!r}")
        if self.resamples < 0:
            raise ConfigError(f"resamples cannot be below 0, got {self.resamples!r}")

    def fit(self, points: Sequence[Observation]) -> FittedSaturation:
        """Fit by least squares, points weighing by the inverse variance of their accuracy.

        Raises:
            BadInput: fewer than two different budgets.
        """
        points = tuple(sorted(points, key=lambda p: (p.n, p.accuracy, p.questions)))
        if self.difficulty == "spread":
            return FittedSaturation(curve=BetaMix.from_curve(*_columns(points)), eps=self.eps, points=points)
        curve = SaturationModel.from_curve(*_columns(points))
        return FittedSaturation(curve=curve, eps=self.eps, points=points, ceiling=self._ceiling(curve, points))

    def _ceiling(self, curve: SaturationModel, points: Sequence[Observation]) -> Interval | None:
        if not self.resamples:
            return None
        rng = derive(self.seed, "saturation")
        ceilings = []
        for _ in range(self.resamples):
            drawn = [
                replace(p, accuracy=sum(rng.random() < p.accuracy for _ in range(p.questions)) / p.questions)
                for p in points
            ]
            ceilings.append(SaturationModel.from_curve(*_columns(drawn)).f_max)
        ceilings.sort()
        low, high = (ceilings[round(share * (self.resamples - 1))] for share in (0.025, 0.975))
        return Interval(curve.f_max, low, high)


@dataclass(frozen=True, kw_only=True)
class FittedSaturation:
    """A fitted curve.

    Attributes:
        curve: with its parameters.
        eps: least gain wanted.
        points: that it was fitted to.
        ceiling: with its 95 % interval, or None where it was not sought or the curve has none to fit.
    """

    curve: SaturationModel | BetaMix
    eps: float
    points: tuple[Observation, ...]
    ceiling: Interval | None = None

    def predict(self, n: float, settings: Settings | None = None) -> float:
        """Return the accuracy at n > 0 units."""
        return min(1.0, max(0.0, self.curve.value(n)))

    def saturation(self) -> int | None:
        """Return the budget whose next unit adds at most `eps` (0: not even the first), or None where it is not known.

        It is not known where the interval of the ceiling is wider than eps / p.
        """
        if isinstance(self.curve, SaturationModel) and self.ceiling is not None:
            width = self.ceiling.high - self.ceiling.low
            if width * self.curve.p > self.eps:
                return None
        return self.curve.saturation(self.eps)

    def report(self) -> dict[str, Any]:
        """Return parameters, saturation point with its accuracy, and fit, as JSON values."""
        at = self.saturation()
        facts: dict[str, Any] = (
            {"p": self.curve.p, "f_max": self.curve.f_max}
            if isinstance(self.curve, SaturationModel)
            else {"a": self.curve.a, "b": self.curve.b, "mean_p": self.curve.mean}
        )
        if self.ceiling is not None:
            facts["f_max_interval"] = [self.ceiling.low, self.ceiling.high]
        if at is None:
            facts["refused"] = "the points leave the ceiling open: measure larger budgets"
        return {
            **facts,
            "eps": self.eps,
            "saturation": at,
            "accuracy_there": None if at is None else self.curve.value(at),
            **goodness(self.points, self),
        }


def _columns(points: Sequence[Observation]) -> tuple[list[float], list[float], list[float]]:
    accuracies = [p.accuracy for p in points]
    return [p.n for p in points], accuracies, fit_weights(accuracies, [p.questions for p in points])
