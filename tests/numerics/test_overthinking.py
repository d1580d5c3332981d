"""Falls of accuracy over budgets: found where they are, and not found in noise."""

from __future__ import annotations

import random

import pytest

from ponder.core.errors import BadInput
from ponder.numerics.overthinking import expected_accuracy, overthinking

BUDGETS = (1, 2, 4, 8, 16, 32, 64)


def solver(find: float, flip: float, *, problems: int, seed: int) -> dict[int, list[float]]:
    """Card 07, check 7: a solver finds the answer with a hazard, and loses it again with another."""
    draw = random.Random(seed)
    right: dict[int, list[float]] = {budget: [] for budget in BUDGETS}
    for _ in range(problems):
        state = "searching"
        for step in range(1, max(BUDGETS) + 1):
            if state == "searching" and draw.random() < find:
                state = "right"
            elif state == "right" and draw.random() < flip:
                state = "wrong"
            if step in right:
                right[step].append(float(state == "right"))
    return right


def test_a_solver_that_errs_as_it_thinks_on_is_found_out() -> None:
    found = overthinking(solver(0.25, 0.03, problems=400, seed=1))
    assert found.where is not None
    assert found.where.difference.high < 0
    assert found.peak in (8, 16)
    assert found.where.high > found.peak
    assert found.where.to_wrong > found.where.to_right
    assert found.accuracies[8] == pytest.approx(expected_accuracy(64, find=0.25, flip=0.03)[8], abs=0.08)


def test_a_solver_that_never_errs_shows_no_fall() -> None:
    found = overthinking(solver(0.25, 0.0, problems=400, seed=2))
    assert found.where is None
    assert found.falls == ()


def test_noise_is_rarely_taken_for_a_fall() -> None:
    draw = random.Random(5)
    seen = 0
    for _ in range(100):
        right = {budget: [float(draw.random() < 0.5) for _ in range(60)] for budget in BUDGETS}
        seen += overthinking(right).where is not None
    assert seen <= 8  # 5 in 100 at most, and a little luck


def test_few_problems_show_nothing_but_a_collapse() -> None:
    assert overthinking({1: [1.0] * 5, 2: [1.0, 1.0, 1.0, 0.0, 0.0]}).where is None
    assert overthinking({1: [1.0] * 30, 2: [0.0] * 30}).where is not None


def test_several_runs_of_a_problem_are_resampled_as_one() -> None:
    found = overthinking({1: [0.9, 1.0, 0.8, 0.9] * 10, 2: [0.1, 0.2, 0.0, 0.1] * 10})
    (change,) = found.changes
    assert change.difference.value == pytest.approx(-0.8)
    assert found.where == change


def test_the_narrowest_and_earliest_fall_is_named() -> None:
    right = {1: [1.0] * 40, 2: [0.0] * 40, 4: [0.0] * 40}
    found = overthinking(right)
    assert found.where is not None
    assert (found.where.low, found.where.high) == (1, 2)
    assert len(found.falls) == 2
    assert found.between(2, 4).difference.value == 0


def test_one_budget_has_no_changes_and_nothing_is_refused() -> None:
    assert overthinking({8: [1.0, 0.0]}).changes == ()
    none: list[dict[int, list[float]]] = [{}, {1: []}, {1: [1.0], 2: [1.0, 0.0]}]
    for wrong in none:
        with pytest.raises(BadInput):
            overthinking(wrong)


def test_expected_accuracy_rises_and_falls() -> None:
    curve = expected_accuracy(200, find=0.2, flip=0.02)
    top = max(range(len(curve)), key=curve.__getitem__)
    assert 0 < top < 200
    assert curve[-1] < curve[top] / 2
    assert expected_accuracy(50, find=0.2, flip=0.0)[-1] == pytest.approx(1 - 0.8**50)
