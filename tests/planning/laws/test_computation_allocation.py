"""The law of documents, demonstrations and rounds: recovery, new tasks, held-out budgets, and the plan."""

from __future__ import annotations

import itertools

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.rag_allocation import PAPER_MODEL, PAPER_SIGMOID, Theta
from ponder.planning.laws.computation_allocation import ComputationAllocation
from ponder.planning.laws.law import Observation, held_out

GRID: list[Theta] = list(itertools.product((0, 1, 2, 5, 10, 50), (0, 1, 2, 8), (1, 2, 3)))
TASKS = {"a": (0.9, 0.2), "b": (0.4, 0.6), "c": (0.2, 0.1)}
LAW = ComputationAllocation()


def seen(task: str, thetas: list[Theta] = GRID, *, level: float = 0.5, spread: float = 0.15) -> list[Observation]:
    """Return what the paper's own model says, on the scale of an accuracy."""
    found = []
    for theta in thetas:
        value = PAPER_SIGMOID.value(PAPER_MODEL.value(theta, TASKS[task]))
        settings: dict[str, float | str] = {"task": task, **dict(zip("kmn", theta, strict=True))}
        found.append(Observation(n=LAW.length(theta), accuracy=level + spread * value, settings=settings))
    return found


def test_the_papers_own_model_is_fitted_closely() -> None:
    points = [point for task in TASKS for point in seen(task)]
    report = LAW.fit(points).report()
    assert report["identified"]
    assert report["r2"] > 0.98
    assert report["r2_normalised"] > 0.98
    assert report["a"][0] > report["a"][1] > 0
    assert set(report["tasks"]) == set(TASKS)


def test_longer_settings_than_the_fitted_are_predicted() -> None:
    points = [point for task in TASKS for point in seen(task)]
    found = held_out(LAW, points, beyond=60_000)
    assert len(found.points) > 20
    assert found.error < 0.05


def test_a_task_never_seen_is_predicted_from_three_cheap_points() -> None:
    fitted = LAW.fit([*seen("a"), *seen("b")])
    new = seen("c", level=0.35)
    with pytest.raises(BadInput, match="learn"):
        fitted.predict(1, new[0].settings)
    cheap = [point for point in new if (point.settings["k"], point.settings["m"], point.settings["n"]) in _CHEAP]
    learned = fitted.learn("c", cheap)
    missed = [abs(learned.predict(point.n, point.settings) - point.accuracy) for point in new]
    assert sum(missed) / len(missed) < 0.08
    assert "c" in learned.report()["tasks"]
    with pytest.raises(BadInput, match="one document"):
        fitted.learn("c", cheap[:2])


_CHEAP = {(0, 0, 1), (1, 0, 1), (0, 1, 1)}


def test_more_budget_never_lowers_the_plan_and_one_step_is_the_limit() -> None:
    fitted = LAW.fit([*seen("a"), *seen("b")])
    plans = [fitted.best(budget, "a") for budget in (1_000, 16_000, 128_000, 1e6, 5e6)]
    told = [plan.accuracy for plan in plans if plan is not None]
    assert told == sorted(told)
    assert all(
        plan is None or plan.length <= budget for plan, budget in zip(plans, (1e3, 16e3, 128e3, 1e6, 5e6), strict=True)
    )
    near = ComputationAllocation(reach=1.0).fit([*seen("a", GRID[:6]), *seen("b", GRID[:6])])
    longest = max(LAW.length(theta) for theta in GRID[:6])
    plan = near.best(5e6, "a")
    assert plan is not None
    assert plan.length <= longest
    assert fitted.best(10, "a") is None
    with pytest.raises(BadInput, match="learn"):
        fitted.best(1e6, "z")


def test_a_task_without_its_cheap_points_is_fitted_without_worth() -> None:
    fitted = LAW.fit([point for point in seen("a") if point.settings["k"] != 0])
    assert fitted.scales["a"].inform == (0.0, 0.0)
    assert not fitted.report()["identified"]


def test_points_without_the_three_numbers_are_refused() -> None:
    with pytest.raises(BadInput, match="documents"):
        LAW.fit([Observation(n=n, accuracy=0.5) for n in (1, 2, 4)])
    with pytest.raises(BadInput, match="numbers"):
        LAW.fit([Observation(n=1, accuracy=0.5, settings={"k": "many", "m": 0, "n": 1})])
    with pytest.raises(BadInput, match="two different"):
        LAW.fit(seen("a", GRID[:1]) * 2)


@pytest.mark.parametrize("wrong", [{"turns": -1}, {"document": 0}, {"window": 0.0}, {"reach": 0.5}])
def test_bad_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        ComputationAllocation(**wrong)
