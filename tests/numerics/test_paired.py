from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.paired import cost_ratio, mcnemar, paired_score_interval

Z = statistics.NormalDist().inv_cdf(0.975)


@st.composite
def counts(draw):
    n = draw(st.integers(1, 200))
    won = draw(st.integers(0, n))
    return won, draw(st.integers(0, n - won)), n


@given(counts())
def test_paired_score_interval_holds_the_difference_and_is_antisymmetric(given_counts):
    won, lost, n = given_counts
    found, turned = paired_score_interval(won, lost, n), paired_score_interval(lost, won, n)
    assert found.value == (won - lost) / n
    assert -1 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1
    assert [turned.low, turned.high] == pytest.approx([-found.high, -found.low], abs=1e-9)


@given(st.integers(1, 500))
def test_paired_score_interval_without_disagreement_has_its_closed_form(n):
    found = paired_score_interval(0, 0, n)
    half = Z * Z / (n + Z * Z)
    assert [found.low, found.high] == pytest.approx([-half, half], abs=1e-9)


@given(counts())
def test_limits_of_the_score_interval_are_z_standard_errors_away(given_counts):
    """An independent check: at a limit, the most likely share of losses is found by a search over a grid."""
    won, lost, n = given_counts
    low = paired_score_interval(won, lost, n).low
    if not -0.98 < low < 0.98 or won + lost == n:
        return

    def log_likelihood(losses: float) -> float:
        import math

        wins, ties = losses + low, 1 - 2 * losses - low
        parts = ((won, wins), (lost, losses), (n - won - lost, ties))
        return sum(count * math.log(share) for count, share in parts if count)

    lowest, highest = max(0.0, -low), (1 - low) / 2
    grid = [lowest + (highest - lowest) * (k + 0.5) / 20000 for k in range(20000)]
    losses = max(grid, key=log_likelihood)
    error = (n * (2 * losses + low * (1 - low))) ** 0.5
    assert (won - lost - n * low) / error == pytest.approx(Z, rel=0.02)


def test_paired_score_interval_covers_the_truth():
    rng = random.Random(5)
    n, runs, inside = 40, 800, 0
    for _ in range(runs):
        draws = rng.choices(("won", "lost", "same"), weights=(0.15, 0.05, 0.8), k=n)
        found = paired_score_interval(draws.count("won"), draws.count("lost"), n)
        inside += found.low <= 0.1 <= found.high
    assert 0.93 <= inside / runs <= 0.98


@pytest.mark.parametrize("wrong", [(1, 0, 0), (2, 1, 2), (-1, 0, 3)])
def test_paired_score_interval_refuses_impossible_counts(wrong):
    with pytest.raises(BadInput):
        paired_score_interval(*wrong)


def test_cost_ratio_of_proportional_costs_is_exact():
    base = [3.0, 5.0, 8.0]
    found = cost_ratio([2 * cost for cost in base], base)
    assert list(found) == pytest.approx([2.0, 2.0, 2.0])


def test_cost_ratio_weighs_prompts_by_their_cost_and_repeats_itself():
    found = cost_ratio([1.0, 30.0], [2.0, 10.0], seed=3)
    assert found.value == pytest.approx(31 / 12)
    assert (found.low, found.high) == (0.5, 3.0)
    assert found == cost_ratio([1.0, 30.0], [2.0, 10.0], seed=3)


def test_cost_ratio_refuses_what_has_no_ratio():
    for costs, base in (([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0])):
        with pytest.raises(BadInput):
            cost_ratio(costs, base)
    with pytest.raises(ConfigError):
        cost_ratio([1.0], [1.0], level=1.0)


def test_mcnemar_is_the_exact_two_sided_binomial_test() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 0) == pytest.approx(2 / 32)
    assert mcnemar(8, 2) == mcnemar(2, 8) == pytest.approx(2 * (1 + 10 + 45) / 1024)


def test_mcnemar_stands_more_pairs_than_floats_can_count() -> None:
    assert 0 < mcnemar(1000, 1100) < 0.05


def test_mcnemar_refuses_counts_below_0() -> None:
    with pytest.raises(BadInput):
        mcnemar(-1, 2)
