"""The allocation model: its own data are recovered, its optimum grows with the budget, bad input is refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.rag_allocation import (
    PAPER_MODEL,
    PAPER_SIGMOID,
    LogLinear,
    Sigmoid,
    best_setting,
    design_row,
    effective_length,
    fit_alternating,
    fit_log_linear,
    fit_sigmoid,
    mean_squared_error,
    normalise,
    paper_grid,
    r_squared,
    setting_length,
)

small = st.floats(-1, 1)


@given(x=st.floats(-15, 15))
def test_inverse_undoes_the_sigmoid(x: float) -> None:
    assert PAPER_SIGMOID.inverse(PAPER_SIGMOID.value(x)) == pytest.approx(x, abs=1e-3)


@given(y=st.floats(-1e6, 1e6))
def test_clipped_values_can_be_inverted(y: float) -> None:
    assert abs(PAPER_SIGMOID.inverse(PAPER_SIGMOID.clip(y))) < 10


@given(a=st.tuples(small, small, small), b=st.tuples(small, small), c=small)
def test_least_squares_recovers_all_parameters(a: tuple[float, float, float], b: tuple[float, float], c: float) -> None:
    truth, rng = LogLinear(a, b, c), random.Random(0)
    tasks = [(rng.random(), rng.random()) for _ in range(4)]
    points = [(theta, task) for task in tasks for theta in rng.sample(paper_grid(), 60)]
    thetas, informs = [theta for theta, _ in points], [task for _, task in points]
    fitted, rank = fit_log_linear(thetas, informs, [truth.value(*point) for point in points])
    assert rank == 6
    assert [*fitted.a, *fitted.b, fitted.c] == pytest.approx([*a, *b, c], abs=1e-8)


def test_figures_of_the_card() -> None:
    settings = [(0, 0, 1), (1, 0, 1), (10, 0, 1), (50, 8, 1), (100, 16, 1), (50, 8, 5), (500, 0, 1)]
    linear = [PAPER_MODEL.value(theta, (0.5, 0.2)) for theta in settings]
    assert linear == pytest.approx([-2.5284, -1.1831, -0.5145, 0.6190, 0.8899, 0.9025, 0.6256], abs=1e-4)
    values = [PAPER_SIGMOID.value(x) for x in linear]
    assert values == pytest.approx([-2.1037, -1.4781, -0.6113, 0.7100, 0.8562, 0.8617, 0.7143], abs=1e-4)
    budgets = (16_000, 32_000, 128_000, 1_000_000, 5_000_000)
    found = [best_setting(PAPER_MODEL, (0.5, 0.2), budget) for budget in budgets]
    assert found == [(5, 2, 1), (10, 2, 1), (50, 1, 1), (200, 1, 2), (200, 2, 5)]


def test_fitting_in_turns_beats_a_line_where_there_is_a_bend() -> None:
    thetas = paper_grid()[::7]
    informs = [(0.3, 0.1)] * len(thetas)
    target = [PAPER_SIGMOID.value(PAPER_MODEL.value(*point)) for point in zip(thetas, informs, strict=True)]

    def said(rounds: int) -> list[float]:
        fit = fit_alternating(thetas, informs, target, rounds=rounds)
        return [fit.value(*point) for point in zip(thetas, informs, strict=True)]

    straight, bent = r_squared(target, said(0)), r_squared(target, said(10))
    assert straight is not None
    assert bent is not None
    assert straight < bent
    assert bent > 0.999


def test_values_without_spread_are_fitted_flat() -> None:
    fit = fit_alternating([(0, 0, 1), (1, 0, 1)], [(0.0, 0.0)] * 2, [0.0, 0.0])
    assert fit.sigmoid is None
    assert fit.value((5, 5, 5)) == pytest.approx(0)
    assert fit_sigmoid([1.0, 1.0], [0.0, 1.0]) is None


@given(inform=st.tuples(small, small))
def test_a_larger_budget_never_lowers_the_optimum(inform: tuple[float, float]) -> None:
    found = [best_setting(PAPER_MODEL, inform, budget) for budget in (100, 16e3, 128e3, 1e6, 5e6)]
    values = [PAPER_MODEL.value(theta, inform) for theta in found if theta is not None]
    assert len(values) == 5
    assert values == sorted(values)
    assert best_setting(PAPER_MODEL, inform, 49) is None


def test_one_call_must_fit_the_window() -> None:
    theta = best_setting(PAPER_MODEL, (0.0, 0.0), 5e6, window=20_000)
    assert theta is not None
    assert setting_length((theta[0], theta[1], 1)) <= 20_000


def test_lengths_may_be_the_callers_own() -> None:
    # 1000 documents leave no room for a round, so everything else is taken to its end.
    assert best_setting(PAPER_MODEL, (0.0, 0.0), 1000, length=sum) == (500, 256, 5)


def test_calls_add_up() -> None:
    assert effective_length([100, 180, 260]) == 540
    assert effective_length([]) == 0


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_normalised_values_have_no_mean_and_one_spread(values: list[float]) -> None:
    z = normalise(values)
    assert sum(z) == pytest.approx(0, abs=1e-6)
    assert sum(v * v for v in z) / len(z) == pytest.approx(1 if any(z) else 0)


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput, match="at least 0"):
        design_row((-1, 0, 1))
    with pytest.raises(BadInput, match="above 0"):
        Sigmoid(0, 1, 0, 0)
    with pytest.raises(BadInput, match="outside"):
        PAPER_SIGMOID.inverse(1.2)
    with pytest.raises(BadInput, match="points"):
        fit_log_linear([], [], [])
    with pytest.raises(BadInput, match="points"):
        fit_sigmoid([1.0], [])
    with pytest.raises(BadInput, match="normalise"):
        normalise([])
    with pytest.raises(BadInput, match="predictions"):
        mean_squared_error([1.0], [])
