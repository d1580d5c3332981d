"""The frontier against the definition, and the area that it covers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.pareto import Outcome, hypervolume, pareto_frontier

outcomes = st.lists(st.builds(Outcome, st.integers(0, 6), st.integers(0, 6)), max_size=8)


def beats(left: Outcome, right: Outcome) -> bool:
    return left.cost <= right.cost and left.value >= right.value and left != right


@given(points=outcomes)
def test_frontier_is_what_no_other_point_beats(points: list[Outcome]) -> None:
    kept = [points[at] for at in pareto_frontier(points)]
    assert set(kept) == {point for point in points if not any(beats(other, point) for other in points)}
    assert kept == sorted(set(kept))


@given(points=outcomes)
def test_hypervolume_counts_the_cells_that_are_dominated(points: list[Outcome]) -> None:
    reference = Outcome(5, 1)
    cells = sum(
        any(point.cost <= cost and point.value >= value + 1 for point in points)
        for cost in range(5)
        for value in range(1, 7)
    )
    assert hypervolume(points, reference) == pytest.approx(cells)


def test_frontier_keeps_the_first_of_equal_points() -> None:
    assert pareto_frontier([Outcome(2, 0.5), Outcome(1, 0.5), Outcome(1, 0.5)]) == [1]


def test_point_no_better_than_the_reference_covers_nothing() -> None:
    assert hypervolume([Outcome(5, 0.9), Outcome(1, 0.0)], Outcome(5, 0.0)) == 0.0


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(BadInput):
        pareto_frontier([Outcome(float("nan"), 1.0)])
    with pytest.raises(BadInput):
        hypervolume([], Outcome(float("inf"), 0.0))
