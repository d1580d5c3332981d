from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.numerics.refinement import accuracy_after, calls_always, split, stationary_accuracy

shares = st.floats(0, 1)


def test_gated_rounds_of_the_card() -> None:
    gated = {"fix": 0.3, "keep": 0.6, "detect": 0.8, "false_alarm": 0.1}
    assert accuracy_after(0.5, 4, **gated) == pytest.approx([0.6, 0.672, 0.72384, 0.76116], abs=1e-5)
    assert stationary_accuracy(**gated) == pytest.approx(0.24 / 0.28)


def test_refining_everything_can_lose() -> None:
    assert accuracy_after(0.5, 1, fix=0.3, keep=0.6) == pytest.approx([0.45])


def test_revision_toy_of_card_04_settles_below_what_a_verifier_finds() -> None:
    assert stationary_accuracy(fix=0.3, keep=0.62) == pytest.approx(0.441, abs=1e-3)
    rng, found = random.Random(3), 0
    for _ in range(500):
        right, any_right = rng.random() < 0.3, False
        for _ in range(8):
            right = rng.random() < (0.62 if right else 0.3)
            any_right = any_right or right
        found += any_right
    assert found / 500 > 0.7


@given(shares, shares, shares, shares, shares)
def test_rounds_stay_shares_and_tend_to_the_fixed_point(a: float, f: float, k: float, d: float, alarm: float) -> None:
    rates = {"fix": f, "keep": k, "detect": d, "false_alarm": alarm}
    assert all(0 <= share <= 1 + 1e-12 for share in accuracy_after(a, 5, **rates))
    fixed = stationary_accuracy(**rates)
    if fixed is not None:
        assert accuracy_after(fixed, 1, **rates)[0] == pytest.approx(fixed, abs=1e-9)


def test_limits() -> None:
    assert accuracy_after(0.2, 1, fix=1, keep=1, detect=1, false_alarm=0) == [1.0]
    assert accuracy_after(0.3, 0, fix=1, keep=1) == []
    assert stationary_accuracy(fix=0.5, keep=0.5, detect=0, false_alarm=0) is None


@given(shares, shares, shares)
def test_oracle_gate_never_loses(a: float, f: float, k: float) -> None:
    assert accuracy_after(a, 1, fix=f, keep=k, detect=1, false_alarm=0)[0] >= a - 1e-12


def test_calls_of_refining_everything() -> None:
    assert (calls_always(1, 1), calls_always(5, 3), calls_always(4, 0)) == (3, 35, 4)


@pytest.mark.parametrize(
    ("n", "ratio", "chains", "length"),
    [
        (16, 1.0, 4, 4),
        (16, 16, 1, 16),
        (16, 1 / 16, 16, 1),
        (16, 4, 2, 8),
        (8, 1.0, 4, 2),
        (7, 1.0, 7, 1),
        (1, 9, 1, 1),
    ],
)
def test_split_is_the_nearest_that_the_budget_has(n: int, ratio: float, chains: int, length: int) -> None:
    assert split(n, ratio) == (chains, length)


@given(st.integers(1, 200), st.floats(1e-3, 1e3))
def test_split_spends_the_whole_budget(n: int, ratio: float) -> None:
    chains, length = split(n, ratio)
    assert chains * length == n


@pytest.mark.parametrize(("n", "ratio"), [(0, 1), (4, 0), (4, float("inf")), (4, float("nan"))])
def test_split_needs_a_budget_and_a_ratio(n: int, ratio: float) -> None:
    with pytest.raises(ConfigError):
        split(n, ratio)
