from __future__ import annotations

import numpy as np
import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.planning.tuning import Aim, Spec, even_bins, fit, fit_margins, fixed, take
from tests.planning.tuning_world import GUIDED, MANY, ONCE, recorded


def test_hard_questions_get_more_and_easy_ones_less() -> None:
    data = recorded(200)
    policy = fit(data, range(200), Spec(0, 2), Aim())
    assert (policy.table["1"], policy.table["2"]) == (ONCE, MANY)
    assert policy.otherwise == MANY
    assert policy.counts == {"1": 100, "2": 100}


def test_a_budget_limits_the_mean_cost() -> None:
    data = recorded(200)
    policy = fit(data, range(200), Spec(0, 2), Aim(budget=120.0))
    picks, _, _, costs = take(data, range(200), policy)
    assert costs.mean() <= 120.0
    assert set(picks.tolist()) == {ONCE, MANY}
    poor = fit(data, range(200), Spec(0, 2), Aim(budget=60.0))
    assert set(poor.table.values()) == {ONCE}


def test_the_cost_objective_keeps_the_accuracy_of_the_best_fixed_option() -> None:
    data = recorded(300)
    aim = Aim(objective="cost", slack=0.02)
    policy = fit(data, range(300), Spec(0, 2), aim)
    _, _, correct, costs = take(data, range(300), policy)
    assert correct.mean() >= data.correct[:, MANY].mean() - 0.03
    assert costs.mean() < 120.0 < data.costs[:, MANY].mean()


def test_thin_bins_take_the_default() -> None:
    data = recorded(40)
    policy = fit(data, range(40), Spec(0, 2), Aim(thin=21))
    assert policy.table == {}
    assert policy.otherwise == MANY


def test_questions_that_the_probe_says_nothing_about_take_the_default() -> None:
    data = recorded(100)
    data.looks[0].values[:10] = np.nan
    policy = fit(data, range(100), Spec(0, 2), Aim())
    picks, names, _, _ = take(data, range(10), policy)
    assert set(names) == {"unknown"}
    assert set(picks.tolist()) == {policy.otherwise}


def test_bins_are_even_and_never_split_equal_values() -> None:
    assert even_bins([0.25] * 51 + [1.0] * 49, 2).edges == (0.625,)
    assert even_bins([1.0, 0.75, 0.5, 0.25], 2).edges == (0.625,)
    assert even_bins([0.5] * 8, 3).edges == ()
    few = even_bins([1.0] * 6 + [0.5] * 2 + [0.25] * 1, 5)
    assert few.edges == (0.75, 0.375)
    assert [few.of(value) for value in (1.0, 0.5, 0.25, None)] == ["1", "2", "3", "unknown"]


def test_bad_data_are_refused() -> None:
    data = recorded(4)
    with pytest.raises(BadInput, match="at least one question"):
        fit(data, [], Spec(None, 1), Aim())
    for wrong in ({"objective": "speed"}, {"budget": 0.0}, {"slack": 1.0}, {"sure": 1.0}, {"thin": 0}):
        with pytest.raises(ConfigError):
            Aim(**wrong)


def test_a_margin_asks_for_more_than_the_mark_and_the_last_one_for_the_most() -> None:
    data = recorded(200, seed=5)
    aim = Aim(objective="cost", slack=0.01)
    several = (0.0, 0.02, 1.0)
    made = fit_margins(data, range(200), Spec(0, 2), aim, several)
    assert made == [fit(data, range(200), Spec(0, 2, margin), aim) for margin in several]
    reached = [take(data, range(200), policy)[2].mean() for policy in made]
    assert reached == sorted(reached)
    # Two options are right on the same questions: asked for the most accurate, the dearer needs no proof.
    assert (data.correct[:, MANY] == data.correct[:, GUIDED]).all()
    assert fixed(data, range(200), aim, 1.0) == GUIDED
    assert fixed(data, range(200), aim, 0.0) == MANY
    assert made[-1].otherwise == fixed(data, range(200), aim, 1.0)


def test_the_best_fixed_option_is_the_cheapest_within_the_slack() -> None:
    data = recorded(100)
    data.correct[:, 2] = data.correct[:, MANY]
    data.correct[0, 2] = 1.0 - data.correct[0, MANY]  # one question apart from the other
    accuracy = data.correct.mean(axis=0)
    best = int(accuracy.argmax())
    assert fixed(data, range(100), Aim(slack=0.02)) == MANY
    assert fixed(data, range(100), Aim(slack=0.02), 0.02) == best
    assert fixed(data, range(100), Aim(budget=50.0)) == ONCE
    assert fixed(data, range(100), Aim(budget=1.0)) == ONCE
