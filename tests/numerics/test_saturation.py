"""Saturating curves: closed forms against brute force, fits that recover, mixtures, chains, allocation, stop rule."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.core.seeds import derive
from ponder.numerics.pass_at_k import pass_at_k
from ponder.numerics.saturation import (
    BetaMix,
    QuestionMix,
    SaturationModel,
    allocate,
    chain_accuracy,
    fit_weights,
    gain_is_spent,
    two_answer_vote,
)

chances = st.floats(0.001, 0.999)


@given(p=chances, f_max=chances, eps=st.floats(1e-4, 0.5))
def test_saturation_is_the_first_count_whose_next_unit_gains_too_little(p: float, f_max: float, eps: float) -> None:
    model = SaturationModel(p, f_max)
    n = model.saturation(eps)
    assert model.gain(n) <= eps * (1 + 1e-9)
    assert n == 0 or model.gain(n - 1) > eps


@given(p=chances, f_max=chances, eps=st.floats(1e-4, 0.5))
def test_saturation_equals_the_closed_form(p: float, f_max: float, eps: float) -> None:
    exact = math.log(eps / (f_max * p)) / math.log1p(-p) if f_max * p > eps else 0.0
    if abs(exact - round(exact)) > 1e-9:
        assert SaturationModel(p, f_max).saturation(eps) == math.ceil(exact)


@given(p=st.floats(0, 1), f_max=st.floats(0, 1), n=st.integers(0, 60))
def test_gain_is_the_step_of_the_value(p: float, f_max: float, n: int) -> None:
    model = SaturationModel(p, f_max)
    assert math.isclose(model.value(n + 1) - model.value(n), model.gain(n), abs_tol=1e-12)


def test_figures_of_the_card() -> None:
    model = SaturationModel(0.3, 0.8)
    values = [model.value(n) for n in (1, 2, 4, 8, 16, 32)]
    assert values == pytest.approx([0.24, 0.408, 0.6079, 0.7539, 0.7973, 0.8], abs=5e-5)
    assert (model.gain(8), model.gain(9)) == pytest.approx((0.01384, 0.00968), abs=5e-6)
    asked = [(0.3, 0.8, 0.01), (0.5, 1.0, 0.01), (0.1, 0.8, 0.01), (0.05, 0.6, 0.01), (0.9, 0.9, 0.001)]
    assert [SaturationModel(p, f_max).saturation(eps) for p, f_max, eps in asked] == [9, 6, 20, 22, 3]
    assert [BetaMix(0.5, 1.0).value(n) for n in (1, 4, 16)] == pytest.approx([0.3333, 0.5937, 0.7835], abs=5e-5)
    chain = [chain_accuracy(0.3, 0.1, rounds) for rounds in (1, 2, 4, 16)]
    assert chain == pytest.approx([0.3, 0.48, 0.6528, 0.7498], abs=5e-5)
    assert chain_accuracy(0.3, 0.0, 4) == pytest.approx(0.7599)
    mix = QuestionMix((0.9, 0.1, 0.02))
    assert [mix.value(n) for n in (1, 4, 16)] == pytest.approx([0.340, 0.474, 0.697], abs=5e-4)
    assert [mix.pooled().value(n) for n in (1, 4, 16)] == pytest.approx([0.34, 0.81, 0.999], abs=5e-3)
    groups = [SaturationModel(0.5, 1.0), SaturationModel(0.2, 0.9), SaturationModel(0.05, 0.8)]
    given = allocate(groups, 10)
    assert given.units == (4, 6, 0)
    assert given.total == pytest.approx(1.60157, abs=5e-6)


@given(p=st.floats(0.01, 0.99), n=st.integers(1, 8))
def test_alike_questions_have_the_expected_coverage_of_the_unbiased_estimator(p: float, n: int) -> None:
    samples = 10
    chances = [math.comb(samples, c) * p**c * (1 - p) ** (samples - c) for c in range(samples + 1)]
    expected = math.fsum(chance * pass_at_k(samples, c, n) for c, chance in enumerate(chances))
    assert SaturationModel(p).value(n) == pytest.approx(expected, abs=1e-9)


def test_simulated_samples_follow_the_curve_with_an_oracle_and_not_with_a_vote() -> None:
    rng, draws, p = derive(0, "simulated"), 4000, 0.4
    for n in (1, 3, 9):
        right = [sum(rng.random() < p for _ in range(n)) for _ in range(draws)]
        covered = sum(count > 0 for count in right) / draws
        assert covered == pytest.approx(SaturationModel(p).value(n), abs=0.03)
        voted = sum(2 * count > n for count in right) / draws
        assert voted == pytest.approx(two_answer_vote(p, n), abs=0.03)
    assert two_answer_vote(p, 9) < two_answer_vote(p, 1)


def test_certain_and_hopeless_units_saturate_at_once() -> None:
    assert SaturationModel(0.0).saturation(0.01) == 0
    assert SaturationModel(1.0).saturation(0.01) == 1
    assert SaturationModel(0.0).budget_for(0.5) is None
    assert SaturationModel(1.0).budget_for(0.5) == 1


def test_saturation_is_not_monotone_in_p() -> None:
    found = [SaturationModel(p, 0.8).saturation(0.01) for p in (0.0125, 0.027, 0.3)]
    assert found == [0, 29, 9]


@given(p=st.floats(0.02, 0.9), f_max=st.floats(0.3, 1))
def test_fit_recovers_a_curve_without_noise(p: float, f_max: float) -> None:
    true = SaturationModel(p, f_max)
    budgets = [1, 2, 4, 8, 16]
    accuracies = [true.value(n) for n in budgets]
    found = SaturationModel.from_curve(budgets, accuracies, fit_weights(accuracies, [1000] * 5))
    assert [found.value(n) for n in budgets] == pytest.approx(accuracies, abs=1e-6)
    assert (found.p, found.f_max) == pytest.approx((p, f_max), rel=1e-3)


def test_fit_recovers_a_curve_from_binomial_noise() -> None:
    true, rng, budgets = SaturationModel(0.2, 0.7), derive(0, "fit"), [1, 2, 4, 8, 16, 32]
    seen = [sum(rng.random() < true.value(n) for _ in range(2000)) / 2000 for n in budgets]
    found = SaturationModel.from_curve(budgets, seen, fit_weights(seen, [2000] * 6))
    assert (found.p, found.f_max) == pytest.approx((0.2, 0.7), rel=0.08)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_fit_stands_curves_that_do_not_move(level: float) -> None:
    found = SaturationModel.from_curve([1, 2, 4], [level] * 3)
    assert [found.value(n) for n in (1, 2, 4)] == pytest.approx([level] * 3, abs=1e-6)


def test_mix_of_questions_lies_below_the_pooled_curve() -> None:
    mix = QuestionMix.from_samples([9, 1, 0], [10, 10, 10])
    assert mix.p == (0.9, 0.1, 0.0)
    assert all(mix.value(n) < mix.pooled().value(n) for n in (2, 8, 32))
    assert mix.pooled() == SaturationModel.from_samples([9, 1, 0], [10, 10, 10])


@given(right=st.lists(st.integers(0, 10), min_size=1, max_size=5), eps=st.floats(1e-3, 0.3))
def test_mix_saturates_where_its_gain_falls_under_eps(right: list[int], eps: float) -> None:
    mix = QuestionMix.from_samples(right, [10] * len(right))
    n = mix.saturation(eps)
    assert mix.gain(n) <= eps * (1 + 1e-9)
    assert n == 0 or mix.gain(n - 1) > eps


def test_one_sample_is_worth_the_share_of_right_ones() -> None:
    assert QuestionMix.from_samples([3], [8]).value(1) == pytest.approx(pass_at_k(8, 3, 1))


@given(a=st.floats(0.1, 20), b=st.floats(0.1, 20), n=st.integers(0, 40))
def test_spread_of_p_has_the_gains_of_its_values(a: float, b: float, n: int) -> None:
    mix = BetaMix(a, b)
    assert math.isclose(mix.value(n + 1) - mix.value(n), mix.gain(n), abs_tol=1e-9)
    assert mix.value(1) == pytest.approx(mix.mean)
    assert mix.value(n) <= SaturationModel(mix.mean).value(n) + 1e-9


def test_fit_of_a_spread_recovers_its_curve_beyond_the_points() -> None:
    true = BetaMix(0.5, 1.5)
    found = BetaMix.from_curve([1, 2, 4, 8], [true.value(n) for n in (1, 2, 4, 8)])
    assert found.value(64) == pytest.approx(true.value(64), abs=1e-3)
    assert true.saturation(0.01) == found.saturation(0.01)


def test_allocation_is_optimal_by_enumeration() -> None:
    groups = [SaturationModel(0.5, 1.0), SaturationModel(0.2, 0.9), SaturationModel(0.05, 0.8)]
    found = allocate(groups, 7)
    best = max(
        sum(group.value(n) for group, n in zip(groups, units, strict=True))
        for units in itertools.product(range(8), repeat=3)
        if sum(units) <= 7
    )
    assert found.total == pytest.approx(best)
    assert sum(found.units) == 7


def test_allocation_stops_where_nothing_gains_enough() -> None:
    assert allocate([SaturationModel(0.5)], 100, eps=0.25).units == (1,)  # a gain of eps counts as not worth it
    assert allocate([], 3) == ((), 0.0)


@given(p01=st.floats(0, 1), p10=st.floats(0, 1), start=st.floats(0, 1), rounds=st.integers(0, 20))
def test_chain_equals_its_steps(p01: float, p10: float, start: float, rounds: int) -> None:
    right = start
    for _ in range(rounds):
        right = right * (1 - p10) + (1 - right) * p01
    assert chain_accuracy(p01, p10, rounds, start=start) == pytest.approx(right, abs=1e-9)


def test_chain_that_breaks_nothing_is_the_saturating_curve() -> None:
    assert chain_accuracy(0.3, 0.0, 4) == pytest.approx(SaturationModel(0.3).value(4))


def test_vote_between_two_answers_falls_with_n_below_one_half() -> None:
    assert two_answer_vote(0.4, 1) > two_answer_vote(0.4, 5) > two_answer_vote(0.4, 21)
    assert two_answer_vote(0.5, 7) == pytest.approx(0.5)


def test_stop_rule_waits_for_agreement_and_then_stops() -> None:
    stops = [gain_is_spent(["a"] * n, eps=0.01) for n in range(10)]
    assert not stops[0]
    assert stops[-1]
    assert stops == sorted(stops)
    assert not gain_is_spent(["a", "b", None], eps=0.01)
    assert gain_is_spent([None] * 30, eps=0.01)  # nothing agrees: more samples are not expected to help either


@pytest.mark.parametrize(
    "bad",
    [
        lambda: SaturationModel(1.1),
        lambda: SaturationModel(0.5, -0.1),
        lambda: QuestionMix(()),
        lambda: QuestionMix((2.0,)),
        lambda: BetaMix(0.0, 1.0),
        lambda: SaturationModel.from_curve([1, 1], [0.1, 0.2]),
        lambda: SaturationModel.from_curve([1, 2], [0.1]),
        lambda: SaturationModel.from_curve([0, 2], [0.1, 0.2]),
        lambda: SaturationModel.from_curve([1, 2], [0.1, math.nan]),
        lambda: SaturationModel.from_samples([3], [2]),
        lambda: QuestionMix.from_samples([], []),
        lambda: chain_accuracy(0.5, 2.0, 1),
        lambda: two_answer_vote(0.5, 2),
    ],
)
def test_bad_input_is_refused(bad: object) -> None:
    assert callable(bad)
    with pytest.raises(BadInput):
        bad()


@pytest.mark.parametrize(
    "bad",
    [
        lambda: SaturationModel(0.5).saturation(0.0),
        lambda: SaturationModel(0.5).budget_for(1.0),
        lambda: allocate([], -1),
        lambda: gain_is_spent([], eps=0.0),
    ],
)
def test_bad_settings_are_refused(bad: object) -> None:
    assert callable(bad)
    with pytest.raises(ConfigError):
        bad()


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 4, 8, 16]), st.floats(0, 1), st.floats(0, 50)), min_size=2, max_size=5)
)
def test_fit_misses_no_more_than_any_curve_of_its_grid(points: list[tuple[int, float, float]]) -> None:
    """Against the grid written out with the class itself."""
    budgets, accuracies, weights = (list(column) for column in zip(*points, strict=True))
    if len(set(budgets)) < 2:
        return

    def miss(curve: SaturationModel) -> float:
        return math.fsum(w * (y - curve.value(n)) ** 2 for n, y, w in points)

    found = SaturationModel.from_curve(budgets, accuracies, weights)
    for step in range(0, 161, 4):
        p = 1 / (1 + math.exp(20 - 0.25 * step))
        reached = [1 - math.pow(1 - p, n) for n in budgets]
        norm = math.fsum(w * s * s for s, w in zip(reached, weights, strict=True))
        free = math.fsum(w * s * y for s, y, w in zip(reached, accuracies, weights, strict=True)) / norm if norm else 1
        other = SaturationModel(p, min(1.0, max(*accuracies, free)))
        assert miss(found) <= miss(other) + 1e-9
