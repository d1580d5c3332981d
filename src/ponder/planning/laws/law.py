"""What a performance law is: fitted to accuracies measured at some budgets, it predicts them at others.

A law is a frozen dataclass of settings, registered with `ponder.core.registry.laws`, whose `fit` takes observations and
returns something that predicts. `held_out` fits the small budgets alone and says how far the large ones were missed:
a law that describes its own points is not yet one that predicts.
Source: our own (DESIGN §6). Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from ponder.core.errors import BadInput

__all__ = ["Fitted", "HeldOut", "Law", "Observation", "Settings", "applies", "goodness", "held_out"]

# What else a point was measured with, by name: numbers, or names ("task", "model").
Settings: TypeAlias = Mapping[str, float | str]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The accuracy measured at one budget.

    Attributes:
        n: budget in the law's own unit (samples, rounds, tokens, FLOPs), > 0.
        accuracy: share of questions answered rightly, in [0, 1].
        questions: how many the share is of, >= 1; fits weigh by it.
        cost: mean cost of a question, in any one unit, or None.
        settings: what else it was measured with, for laws of more than one dimension.
    """

    n: float
    accuracy: float
    questions: int = 1
    cost: float | None = None
    settings: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.n) and self.n > 0):
            raise BadInput(f"a budget must be above 0 and finite, got {self.n!r}")
        if not 0 <= self.accuracy <= 1:
            raise BadInput(f"an accuracy must be in [0, 1], got {self.accuracy!r}")
        if self.questions < 1:
            raise BadInput(f"an accuracy needs at least 1 question, got {self.questions!r}")
        if self.cost is not None and not (math.isfinite(self.cost) and self.cost >= 0):
            raise BadInput(f"a cost must be finite and not below 0, got {self.cost!r}")


class Fitted(Protocol):
    """A law with its parameters."""

    def predict(self, n: float, settings: Settings | None = None) -> float:
        """Return the accuracy expected at budget `n` > 0, in [0, 1]; laws of one dimension ignore `settings`."""
        ...

    def report(self) -> dict[str, Any]:
        """Return the parameters and how well they fit, as JSON values; at least the keys of `goodness`."""
        ...


class Law(Protocol):
    """A family of curves."""

    def fit(self, points: Sequence[Observation]) -> Fitted:
        """Fit the parameters; the order of the points does not matter.

        Raises:
            BadInput: the points cannot fix the parameters (too few different budgets).
        """
        ...


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """How far a law missed the budgets that it did not see.

    Attributes:
        fitted: on the budgets up to `beyond`, both ends of which it saw.
        beyond: the largest budget seen.
        points: each budget held out with its accuracy and the prediction.
        error: mean absolute error over them.
    """

    fitted: Fitted
    beyond: float
    points: tuple[tuple[float, float, float], ...]
    error: float

    def report(self) -> dict[str, Any]:
        """Return a JSON object."""
        names = ("n", "accuracy", "predicted")
        return {
            "beyond": self.beyond,
            "mean_absolute_error": self.error,
            "points": [dict(zip(names, point, strict=True)) for point in self.points],
            "fit": self.fitted.report(),
        }


def applies(law: Law, points: Sequence[Observation]) -> bool:
    """Return whether every point has the settings that the law names in its `dimensions`, where it names any."""
    wanted: tuple[str, ...] = getattr(law, "dimensions", ())
    return all(name in point.settings for point in points for name in wanted)


def held_out(law: Law, points: Sequence[Observation], *, beyond: float) -> HeldOut:
    """Fit the points with n <= `beyond` and predict the others.

    Raises:
        BadInput: no point lies beyond, or too few do not.
    """
    rest = sorted((p for p in points if p.n > beyond), key=lambda p: p.n)
    if not rest:
        raise BadInput(f"no point lies beyond {beyond!r}: nothing to predict")
    fitted = law.fit([p for p in points if p.n <= beyond])
    predicted = tuple((p.n, p.accuracy, fitted.predict(p.n, p.settings)) for p in rest)
    error = math.fsum(abs(seen - said) for _, seen, said in predicted) / len(predicted)
    return HeldOut(fitted=fitted, beyond=beyond, points=predicted, error=error)


def goodness(points: Sequence[Observation], fitted: Fitted) -> dict[str, Any]:
    """Return how well predictions meet the points, each point counted once, as JSON values.

    Returns:
        `points`; `range`, the budgets they span; `rmse`; and `r2`, the share of the variance explained, None where the
        accuracies do not vary (below 0: worse than their mean).
    """
    seen = [p.accuracy for p in points]
    mean = math.fsum(seen) / len(seen)
    missed = math.fsum((p.accuracy - fitted.predict(p.n, p.settings)) ** 2 for p in points)
    spread = math.fsum((accuracy - mean) ** 2 for accuracy in seen)
    return {
        "points": len(points),
        "range": [min(p.n for p in points), max(p.n for p in points)],
        "rmse": math.sqrt(missed / len(points)),
        "r2": 1 - missed / spread if spread > 1e-12 else None,
    }
