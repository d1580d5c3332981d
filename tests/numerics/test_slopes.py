"""Slopes of a curve and the area under it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.slopes import first_to_last_slope, log_cost_area, pairwise_slope

costs = st.lists(st.integers(1, 10_000), min_size=2, max_size=6, unique=True)


@given(costs=costs, slope=st.floats(-2, 2))
def test_straight_line_gives_its_slope(costs: list[int], slope: float) -> None:
    values = [slope * cost + 1 for cost in costs]
    assert pairwise_slope(costs, values) == pytest.approx(slope, abs=1e-9)


def test_order_of_the_points_does_not_matter_to_pairs() -> None:
    assert pairwise_slope([4000, 1000, 2000], [0.5, 0.2, 0.4]) == pytest.approx(7 / 60_000)


def test_slope_from_first_to_last_is_0_where_cost_does_not_grow() -> None:
    assert first_to_last_slope([2, 1], [0.0, 1.0]) == 0.0
    assert first_to_last_slope([1, 3], [0.0, 1.0]) == 0.5


def test_single_point_has_no_slope_and_no_area() -> None:
    assert pairwise_slope([1], [0.5]) is None
    assert log_cost_area([1], [0.5]) is None


@given(costs=costs, level=st.floats(0, 1))
def test_area_under_a_flat_curve_is_its_height(costs: list[int], level: float) -> None:
    assert log_cost_area(costs, [level] * len(costs)) == pytest.approx(level)


@given(costs=costs, scale=st.floats(0.01, 100))
def test_area_does_not_depend_on_the_unit_of_cost(costs: list[int], scale: float) -> None:
    values = [1 / cost for cost in costs]
    assert log_cost_area([scale * c for c in costs], values) == pytest.approx(log_cost_area(costs, values))


def test_area_takes_the_mean_of_equal_costs() -> None:
    assert log_cost_area([1, 1, 10], [0.0, 1.0, 0.5]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: pairwise_slope([1, 2], [0.5]),
        lambda: pairwise_slope([1, 1], [0.5, 0.5]),
        lambda: first_to_last_slope([1], [0.5]),
        lambda: log_cost_area([0, 1], [0.5, 0.5]),
    ],
)
def test_bad_input_is_refused(bad: object) -> None:
    assert callable(bad)
    with pytest.raises(BadInput):
        bad()
