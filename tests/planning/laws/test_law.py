"""Observations, goodness of fit, and predictions of budgets that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from ponder.core.errors import BadInput
from ponder.planning.laws.computation_allocation import ComputationAllocation
from ponder.planning.laws.law import Observation, Settings, applies, goodness, held_out


@dataclass(frozen=True)
class Constant:
    """A law that predicts the mean of what it saw."""

    value: float = 0.0

    def fit(self, points: Sequence[Observation]) -> Constant:
        if not points:
            raise BadInput("no points")
        return Constant(sum(p.accuracy for p in points) / len(points))

    def predict(self, n: float, settings: Settings | None = None) -> float:
        return self.value

    def report(self) -> dict[str, Any]:
        return {"value": self.value}


def seen(*accuracies: float) -> list[Observation]:
    return [Observation(n=2**at, accuracy=accuracy) for at, accuracy in enumerate(accuracies)]


def test_budgets_beyond_are_predicted_from_those_before() -> None:
    found = held_out(Constant(), seen(0.2, 0.4, 0.9, 0.5), beyond=2)
    assert found.fitted.predict(1.0) == pytest.approx(0.3)
    assert [n for n, _, _ in found.points] == [4, 8]
    assert found.error == pytest.approx((0.6 + 0.2) / 2)
    assert found.report()["points"][0] == {"n": 4, "accuracy": 0.9, "predicted": pytest.approx(0.3)}


def test_nothing_to_predict_is_refused() -> None:
    with pytest.raises(BadInput, match="nothing to predict"):
        held_out(Constant(), seen(0.2, 0.4), beyond=2)
    with pytest.raises(BadInput):
        held_out(Constant(), seen(0.2, 0.4), beyond=0.5)


def test_mean_explains_nothing_and_worse_than_it_less() -> None:
    points = seen(0.2, 0.4)
    assert goodness(points, Constant(0.3))["r2"] == pytest.approx(0)
    assert goodness(points, Constant(0.9))["r2"] < 0
    assert goodness(points, Constant(0.3))["rmse"] == pytest.approx(0.1)


def test_accuracies_that_do_not_vary_have_no_share_of_variance() -> None:
    assert goodness(seen(0.3, 0.3), Constant(0.3)) == {"points": 2, "range": [1, 2], "rmse": 0.0, "r2": None}


@pytest.mark.parametrize(
    "wrong",
    [{"n": 0}, {"n": float("inf")}, {"accuracy": 1.1}, {"accuracy": float("nan")}, {"questions": 0}, {"cost": -1}],
)
def test_observation_refuses_what_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Observation(**{"n": 1, "accuracy": 0.5, **wrong})


def test_a_law_of_several_dimensions_applies_to_points_that_have_them() -> None:
    plain, full = Observation(n=1, accuracy=0.5), Observation(n=1, accuracy=0.5, settings={"k": 1, "m": 0, "n": 1})
    assert applies(ComputationAllocation(), [full])
    assert not applies(ComputationAllocation(), [full, plain])
    assert applies(Constant(), [plain])
