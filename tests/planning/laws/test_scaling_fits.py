"""The line in log compute and the power law of coverage."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.planning.laws.law import Law, Observation, held_out
from ponder.planning.laws.scaling_fits import ParallelScaling, SequentialScaling


def test_line_gains_the_same_with_each_doubling_and_is_cut_at_1() -> None:
    points = [Observation(n=n, accuracy=0.1 * at + 0.1, questions=50) for at, n in enumerate((1, 2, 4, 8))]
    fitted = SequentialScaling().fit(points)
    report = fitted.report()
    assert report["gain_of_doubling"] == pytest.approx(0.1)
    assert report["r2"] == pytest.approx(1)
    assert fitted.predict(16) == pytest.approx(0.5)
    assert fitted.predict(1e9) == 1.0
    assert fitted.predict(1e-9) == 0.0


@given(a=st.floats(0.5, 3), b=st.floats(0.2, 0.9))
def test_coverage_held_out_is_predicted_where_the_law_is_true(a: float, b: float) -> None:
    points = [Observation(n=n, accuracy=math.exp(-a * n**-b), questions=1_000_000) for n in (1, 2, 4, 8, 16, 32)]
    assert held_out(ParallelScaling(), points, beyond=8).error < 1e-6


def test_coverage_that_falls_is_reported_with_a_negative_exponent() -> None:
    points = [Observation(n=n, accuracy=accuracy, questions=100) for n, accuracy in ((1, 0.8), (2, 0.6), (4, 0.4))]
    assert ParallelScaling().fit(points).report()["b"] < 0


@pytest.mark.parametrize("law", [SequentialScaling(), ParallelScaling()])
def test_single_budget_is_refused(law: Law) -> None:
    with pytest.raises(BadInput):
        law.fit([Observation(n=4, accuracy=0.5), Observation(n=4, accuracy=0.6)])
