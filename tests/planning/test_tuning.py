from __future__ import annotations

import random

import numpy as np
import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.planning.policy import Choice, Probe
from ponder.planning.tuning import Aim, Look, Option, Outcomes, Spec, cross_validate, even_bins, fit, select, take

ONCE, MANY, GUIDED = range(3)
OPTIONS = (
    Option(choice=Choice(method="greedy"), shares=False),
    Option(choice=Choice(method="self_consistency", settings={"n": 16}), shares=True),
    Option(choice=Choice(method="beam_search", settings={"n": 16}), shares=False),
)


def recorded(count: int, *, seed: int = 0, signal: bool = True) -> Outcomes:
    """Half of the questions are easy: one answer does. The others need 16; a guided search is dear and no better."""
    rng = random.Random(seed)
    easy = [i % 2 == 0 for i in range(count)]
    rates = [(0.95, 0.95) if simple else (0.1, 0.8) for simple in easy]
    lots = [rng.random() for _ in rates]  # one for all options: they are right on the same questions
    correct = np.array([[float(lot < p) for p in row] for row, lot in zip(rates, lots, strict=True)])[:, [0, 1, 1]]
    costs = np.array([[10.0, 160.0, 400.0]] * count)
    seen = [1.0 if (simple if signal else rng.random() < 0.5) else 0.25 for simple in easy]
    look = Look(probe=Probe(n=4), values=np.array(seen), costs=np.full(count, 40.0))
    return Outcomes(
        questions=tuple(f"q{i}" for i in range(count)),
        families=("f",) * count,
        options=OPTIONS,
        correct=correct,
        costs=costs,
        looks=(look,),
    )


def test_hard_questions_get_more_and_easy_ones_less() -> None:
    data = recorded(200)
    policy = fit(data, range(200), Spec(0, 2), Aim())
    assert (policy.table["1"], policy.table["2"]) == (ONCE, MANY)
    assert policy.otherwise == MANY
    assert policy.counts == {"1": 100, "2": 100}


def test_a_probe_is_charged_once_where_the_samples_are_its_own() -> None:
    data = recorded(40)
    charged = data.charged(data.looks[0])
    # Greedy pays for probe and answer, sixteen samples begin with the four, a search shares nothing.
    assert charged[0].tolist() == [50.0, 160.0, 440.0]
    assert data.charged(None)[0].tolist() == [10.0, 160.0, 400.0]


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


def test_held_out_figures_show_the_planted_gain() -> None:
    data = recorded(400, seed=3)
    held = cross_validate(data, [Spec(None, 1), Spec(0, 2)], Aim(objective="cost", slack=0.02), folds=5)
    assert all(spec == Spec(0, 2) for spec in held.specs)
    assert held.costs.mean() < 0.75 * held.fixed_costs.mean()
    assert held.correct.mean() > held.fixed_correct.mean() - 0.03
    # At what the policy costs, no single option is as accurate.
    assert held.even_correct.mean() < held.correct.mean() - 0.2
    assert held.equal_costs.mean() > held.costs.mean()


def test_a_probe_without_signal_is_not_taken() -> None:
    data = recorded(400, seed=4, signal=False)
    chosen = select(data, range(400), [Spec(None, 1), Spec(0, 2)], Aim(objective="cost"), folds=5, seed=0)
    assert chosen == Spec(None, 1)


def test_no_question_is_scored_by_a_policy_that_saw_it() -> None:
    # One option is right on exactly one question each: only a policy that saw that question could choose it.
    count = 40
    correct = np.eye(count)
    data = Outcomes(
        questions=tuple(map(str, range(count))),
        families=("f",) * count,
        options=tuple(Option(choice=Choice(method="greedy", settings={"n": i}), shares=False) for i in range(count)),
        correct=correct,
        costs=np.ones((count, count)),
        looks=(Look(probe=Probe(n=1), values=np.arange(count, dtype=float), costs=np.zeros(count)),),
    )
    held = cross_validate(data, [Spec(None, 1), Spec(0, 5)], Aim(thin=1), folds=4)
    assert held.correct.sum() == 0


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
    with pytest.raises(BadInput, match="folds"):
        cross_validate(data, [Spec(None, 1)], Aim(), folds=5)
    with pytest.raises(BadInput, match="one entry for each"):
        Outcomes(questions=("q",), families=("f",), options=OPTIONS, correct=data.correct, costs=data.costs)
    for wrong in ({"objective": "speed"}, {"budget": 0.0}, {"slack": 1.0}, {"thin": 0}):
        with pytest.raises(ConfigError):
            Aim(**wrong)
