"""The law of trials, length, model and key budget: recovery, costs, and the plan under a cap."""

from __future__ import annotations

import itertools
import math
import random
from functools import partial

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.cost_allocation import Option, Setting, trial_options
from ponder.numerics.cost_laws import Shape, dense_cost, topk_cost
from ponder.numerics.saturation import BetaMix
from ponder.planning.laws.kinetics import Kinetics, points_of
from ponder.planning.laws.law import Observation, held_out

SMALL = Shape(active=0.75e9, layers=28, heads=16, kv_heads=8, head_size=128)
LARGE = Shape(active=8.19e9, layers=36, heads=32, kv_heads=8, head_size=128)


def mean_at(length: float, intercept: float = -8.0, slope: float = 1.0) -> float:
    return 1 / (1 + math.exp(-(intercept + slope * math.log(length))))


def surface(
    trials: tuple[int, ...], lengths: tuple[int, ...], spread: float = 1.5, **settings: str
) -> list[Observation]:
    found = []
    for n, length in itertools.product(trials, lengths):
        mean = mean_at(length)
        accuracy = BetaMix(mean * spread, (1 - mean) * spread).value(n)
        told: dict[str, float | str] = {"length": length, **settings}
        cost = dense_cost(LARGE, 200, length, trials=n).total
        found.append(Observation(n=n, accuracy=accuracy, questions=2000, cost=cost, settings=told))
    return found


def test_trials_beyond_the_fitted_are_predicted_where_the_law_is_true() -> None:
    mix = BetaMix(0.3, 0.9)
    points = [Observation(n=n, accuracy=mix.value(n), questions=500) for n in (1, 2, 4, 8, 16)]
    found = held_out(Kinetics(), points, beyond=4)
    assert found.error < 1e-4
    report = found.fitted.report()
    assert report["mean_p"] == pytest.approx(0.25, abs=1e-4)
    assert report["spread"] == pytest.approx(1.2, abs=1e-2)


def test_lengths_and_trials_never_measured_are_predicted_together() -> None:
    fitted = Kinetics().fit(surface((1, 2, 4), (1024, 2048, 4096)))
    [curve] = fitted.report()["curves"]
    assert (curve["intercept"], curve["slope_of_log_length"]) == pytest.approx((-8.0, 1.0), abs=1e-3)
    mean = mean_at(8192)
    wanted = BetaMix(mean * 1.5, (1 - mean) * 1.5).value(16)
    assert fitted.predict(16, {"length": 8192}) == pytest.approx(wanted, abs=1e-3)
    with pytest.raises(BadInput, match="length"):
        fitted.predict(16)


def test_one_number_of_trials_says_nothing_about_more() -> None:
    fitted = Kinetics().fit(surface((1,), (1024, 2048, 4096)))
    settings = {"length": 2048}
    assert fitted.predict(8, settings) == fitted.predict(1, settings) == pytest.approx(mean_at(2048), abs=1e-6)


def test_the_dense_law_is_a_line_in_the_trials() -> None:
    fitted = Kinetics().fit(surface((1, 2, 4), (2048,), model="large"))
    wanted = dense_cost(LARGE, 200, 2048, trials=32).total
    assert fitted.cost(Setting("large", 32, 2048)) == pytest.approx(wanted)
    assert fitted.cost(Setting("large", 1, 4096)) is None


def recorded(model: str, shape: Shape, p: float, *, tokens: int, kv_budget: int | None = None) -> list[Option]:
    rng, found = random.Random(model), []
    for question in range(40):
        chance = min(1.0, max(0.0, rng.gauss(p, 0.15)))
        lengths = [round(tokens * rng.uniform(0.8, 1.2)) for _ in range(16)]
        right = [rng.random() < chance for _ in lengths]

        def cost(length: int, trials: int) -> object:
            if kv_budget is None:
                return dense_cost(shape, 200, length, trials=trials)
            return topk_cost(shape, 200, length, trials=trials, budget=kv_budget)

        found += trial_options(model, question, lengths, right, cost, kv_budget=kv_budget)  # type: ignore[arg-type]
    return found


def test_the_plan_is_the_best_that_fits_by_enumeration() -> None:
    options = [
        *recorded("small", SMALL, 0.3, tokens=4000),
        *recorded("large", LARGE, 0.6, tokens=4000),
        *recorded("large", LARGE, 0.55, tokens=4000, kv_budget=512),
    ]
    fitted = Kinetics(trials=(1, 2, 4, 8, 16, 64)).fit(points_of(options))
    last = 0.0
    for cap in (1.0, 50.0, 300.0, 1000.0, 5000.0, 100_000.0):
        plan = fitted.best(cap)
        fitting = [one for one in fitted.plans() if one.cost <= cap]
        if plan is None:
            assert not fitting
            continue
        most = max(one.accuracy for one in fitting)
        assert plan.accuracy >= most * 0.999
        assert plan.cost == min(one.cost for one in fitting if one.accuracy >= most * 0.999)
        assert plan.accuracy >= last * 0.999
        last = plan.accuracy
    assert {plan.setting for plan in fitted.plans()} >= {Setting("large", 64, None, 512), Setting("small", 1)}
    assert [cap for cap, _ in fitted.frontier([1.0, 2.0])] == [1.0, 2.0]


def test_sparse_attention_moves_the_plan() -> None:
    """Reading 512 keys costs so much less that more answers fit under one cap than accuracy is lost."""
    dense, sparse = (recorded("large", LARGE, 0.5, tokens=8000, kv_budget=budget) for budget in (None, 512))
    cap = min(option.cost for option in dense) * 1.6
    plan = Kinetics().fit(points_of([*dense, *sparse])).best(cap)
    assert plan is not None
    assert plan.setting.kv_budget == 512
    assert plan.setting.trials > 1


def test_points_without_costs_fit_and_have_no_plan() -> None:
    fitted = Kinetics().fit([Observation(n=n, accuracy=0.1 * n) for n in (1, 2, 4)])
    assert 0 < fitted.predict(8) < 1
    with pytest.raises(BadInput, match="costs"):
        fitted.best(10.0)


def test_unknown_models_and_mixed_points_are_refused() -> None:
    fitted = Kinetics().fit(surface((1, 2), (1024,), model="a"))
    with pytest.raises(BadInput, match="no point"):
        fitted.predict(1, {"model": "b"})
    with pytest.raises(BadInput, match="one budget"):
        Kinetics().fit([Observation(n=1, accuracy=0.5, settings={"model": "a"})] * 3)
    with pytest.raises(BadInput, match="length"):
        Kinetics().fit([*surface((1, 2), (1024,)), Observation(n=1, accuracy=0.5)])
    with pytest.raises(BadInput, match="above 0"):
        Kinetics().fit([Observation(n=n, accuracy=0.5, settings={"length": 0}) for n in (1, 2)])


@pytest.mark.parametrize("wrong", [{"trials": ()}, {"trials": (0,)}, {"tolerance": 1.0}])
def test_bad_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        partial(Kinetics, **wrong)()
