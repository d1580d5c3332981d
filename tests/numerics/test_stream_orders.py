"""Orders of a stream: permutations, clumps by their autocorrelation, phases by their counts."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.stream_orders import (
    autocorrelation,
    dirichlet_order,
    gradual_severities,
    phase_weights,
    phases_order,
    sorted_order,
    uniform_order,
)

LABELS = [at % 10 for at in range(2000)]
labels = st.lists(st.integers(0, 4), max_size=60)


def of(order: list[int]) -> list[int]:
    return [LABELS[index] for index in order]


@given(labels, st.integers(0, 99), st.floats(0.001, 100), st.integers(0, 7))
def test_orders_are_permutations(found: list[int], seed: int, concentration: float, chunks: int) -> None:
    every = list(range(len(found)))
    assert sorted(uniform_order(len(found), random.Random(seed))) == every
    assert sorted(sorted_order(found, random.Random(seed))) == every
    assert sorted(dirichlet_order(found, concentration, random.Random(seed), chunks=chunks)) == every


def test_same_seed_same_order() -> None:
    assert dirichlet_order(LABELS, 0.1, random.Random(1)) == dirichlet_order(LABELS, 0.1, random.Random(1))
    assert dirichlet_order(LABELS, 0.1, random.Random(1)) != dirichlet_order(LABELS, 0.1, random.Random(2))


def test_sorted_order_has_one_stretch_for_each_class() -> None:
    found = of(sorted_order(LABELS, random.Random(0)))
    assert sum(a != b for a, b in pairwise(found)) == 9


def test_small_concentration_clumps_and_a_large_one_does_not() -> None:
    low = autocorrelation(of(dirichlet_order(LABELS, 0.01, random.Random(0))))
    high = autocorrelation(of(dirichlet_order(LABELS, 1000, random.Random(0))))
    assert low is not None
    assert high is not None
    assert low > 0.5
    assert high == pytest.approx(0.1, abs=0.03)


def test_weights_of_a_phase_are_the_published_ones() -> None:
    assert phase_weights(1000, 1000, 0)[0] == pytest.approx(0.50025, abs=1e-5)
    assert phase_weights(1000, 500_000, 3)[3] == pytest.approx(0.998006, abs=1e-6)
    assert phase_weights(5, 1, 2) == pytest.approx([0.2] * 5)


def test_phases_without_imbalance_are_uniform_and_with_it_hold_one_class_each() -> None:
    even = Counter(of(phases_order(LABELS, 1, 10_000, random.Random(0))))
    assert all(800 < count < 1200 for count in even.values())
    steep = of(phases_order(LABELS, 1e6, 1000, random.Random(0)))
    phases = [Counter(steep[at : at + 100]).most_common(1)[0] for at in range(0, 1000, 100)]
    assert {label for label, _ in phases} == set(range(10))
    assert all(count >= 98 for _, count in phases)


def test_remainder_goes_to_the_last_phase() -> None:
    assert len(phases_order([0, 1, 2], 5, 10, random.Random(0))) == 10


def test_severities_rise_and_fall() -> None:
    assert gradual_severities() == [1, 2, 3, 4, 5, 4, 3, 2, 1]


def test_autocorrelation_of_nothing_is_missing() -> None:
    assert autocorrelation([1]) is None


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ConfigError, lambda rng: dirichlet_order(LABELS, 0, rng)),
        (ConfigError, lambda rng: phases_order(LABELS, 2, 9, rng)),
        (ConfigError, lambda rng: phases_order(LABELS, 0.5, 100, rng)),
        (BadInput, lambda rng: phases_order([0, 2], 2, 10, rng)),
        (BadInput, lambda rng: phases_order([], 2, 10, rng)),
        (ConfigError, lambda rng: phase_weights(3, 2, 3)),
        (ConfigError, lambda rng: gradual_severities(0)),
    ],
)
def test_bad_settings_are_refused(error: type[Exception], call: object) -> None:
    with pytest.raises(error):
        call(random.Random(0))  # type: ignore[operator]
