"""Lines by least squares, and the two laws that are lines on some scale."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.power_laws import coverage_line, fit_line, fit_offset_power, fit_power, log_line


@given(
    intercept=st.floats(-5, 5),
    slope=st.floats(-5, 5),
    x=st.lists(st.integers(-50, 50), min_size=2, max_size=6, unique=True),
)
def test_line_through_points_on_a_line_is_that_line(intercept: float, slope: float, x: list[int]) -> None:
    found = fit_line(x, [intercept + slope * at for at in x])
    assert found == pytest.approx((intercept, slope), abs=1e-6)


def test_weights_pull_the_line() -> None:
    heavy = fit_line([0, 1, 2], [0, 1, 0], [1, 1000, 1])
    assert heavy.at(1) > fit_line([0, 1, 2], [0, 1, 0]).at(1)


def test_log_line_gains_the_same_with_each_doubling() -> None:
    found = log_line([1, 2, 4, 8], [0.1, 0.2, 0.3, 0.4], [100] * 4)
    assert found.slope * math.log(2) == pytest.approx(0.1)


@given(a=st.floats(0.2, 4), b=st.floats(0.1, 1))
def test_coverage_law_is_recovered_without_noise(a: float, b: float) -> None:
    budgets = [1, 2, 4, 8]
    line = coverage_line(budgets, [math.exp(-a * n**-b) for n in budgets], [100_000] * 4)
    assert (math.exp(line.intercept), -line.slope) == pytest.approx((a, b), rel=1e-6)


def test_coverage_of_0_and_1_counts_as_half_a_question_short() -> None:
    line = coverage_line([1, 100], [0.0, 1.0], [10, 10])
    assert all(map(math.isfinite, line))


@pytest.mark.parametrize(
    "bad",
    [
        lambda: fit_line([1, 1], [0, 1]),
        lambda: fit_line([1, 2], [0]),
        lambda: fit_line([1, 2], [0, 1], [1, 0]),
        lambda: fit_line([], []),
        lambda: log_line([0, 1], [0, 1], [1, 1]),
        lambda: coverage_line([1, 2], [0, 1.5], [1, 1]),
    ],
)
def test_bad_input_is_refused(bad: object) -> None:
    assert callable(bad)
    with pytest.raises(BadInput):
        bad()


@given(scale=st.floats(0.1, 100), exponent=st.floats(-2, 2))
def test_power_through_points_on_it_is_that_power(scale: float, exponent: float) -> None:
    found = fit_power([1, 2, 5, 30], [scale * x**exponent for x in (1, 2, 5, 30)])
    assert found[:2] == pytest.approx((scale, exponent), abs=1e-6, rel=1e-6)
    assert found.of_doubling() == pytest.approx(found.at(6) / found.at(3))


def test_power_with_an_offset_of_the_card_is_recovered() -> None:
    costs = [10.0 * 2**step for step in range(12)]
    found = fit_offset_power(costs, [81.77 * cost**0.25 - 212 for cost in costs])
    assert found == pytest.approx((81.77, 0.25, -212), rel=1e-4)
    assert found.of_doubling() == pytest.approx(1.19, abs=0.01)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: fit_power([1, 2], [1, 0]),
        lambda: fit_power([0, 2], [1, 1]),
        lambda: fit_offset_power([1, 2], [1, 2]),
        lambda: fit_offset_power([0, 1, 2], [1, 2, 3]),
    ],
)
def test_powers_refuse_what_has_no_logarithm(bad: object) -> None:
    assert callable(bad)
    with pytest.raises(BadInput):
        bad()
