from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.numerics.stopping import leader_is_stable, leader_probability, vote_is_decided
from ponder.numerics.votes import majority

ANSWERS = st.lists(st.sampled_from([0, 1, 2, None]), max_size=6)


@given(ANSWERS, st.integers(0, 3))
def test_decided_is_exactly_that_no_completion_changes_the_winner(answers: list[int | None], left: int) -> None:
    # 8 and 9 stand for answers not seen yet.
    ends = {majority([*answers, *more]) for more in itertools.product([0, 1, 2, 8, 9, None], repeat=left)}
    unchanged = ends == {majority(answers)}
    assert vote_is_decided(answers, left) == unchanged


def test_decided_knows_who_was_seen_first() -> None:
    assert vote_is_decided([0, 0, 1], 1)  # 1 may draw level, but was seen later
    assert not vote_is_decided([1, 0, 0], 1)
    assert vote_is_decided([0, 0], 2)  # a new answer may draw level
    assert not vote_is_decided([0, 0], 3)


def test_decided_of_nothing_readable() -> None:
    assert not vote_is_decided([None, None], 1)
    assert vote_is_decided([None, None], 0)


@given(ANSWERS, st.integers(0, 6))
def test_decided_stays_decided_with_fewer_left(answers: list[int | None], left: int) -> None:
    if vote_is_decided(answers, left + 1):
        assert vote_is_decided(answers, left)


@given(st.integers(0, 40), st.integers(0, 40))
def test_leader_probability_is_the_beta_tail(lead: int, second: int) -> None:
    # Midpoint rule on the density x^lead (1 - x)^second.
    steps = 400
    density = [(k / steps) ** lead * (1 - k / steps) ** second for k in [j + 0.5 for j in range(steps)]]
    tail = math.fsum(density[steps // 2 :]) / math.fsum(density)
    assert leader_probability(lead, second) == pytest.approx(tail, abs=1e-3)


@given(st.integers(0, 200), st.integers(0, 200))
def test_leader_probability_is_fair(lead: int, second: int) -> None:
    assert leader_probability(lead, second) + leader_probability(second, lead) == pytest.approx(1)
    assert leader_probability(lead + 1, second) >= leader_probability(lead, second)


def test_leader_probability_of_small_counts() -> None:
    assert leader_probability(0, 0) == 0.5
    assert leader_probability(3, 0) == 15 / 16
    assert leader_probability(3, 1) == 26 / 32


def test_stable_from_four_alike_at_ninety_five_percent() -> None:
    assert not leader_is_stable([1, 1, 1], confidence=0.95)
    assert leader_is_stable([1, 1, 1, 1], confidence=0.95)  # 31/32
    assert not leader_is_stable([1, 1, 1, 1, 2], confidence=0.95)


def test_stable_looks_at_the_two_largest_groups_only() -> None:
    assert leader_is_stable([1, 1, 1, 1, None, None], confidence=0.95)
    assert leader_is_stable([1] * 9 + [2, 3, 4], confidence=0.95) == leader_is_stable([1] * 9 + [2], confidence=0.95)
    assert not leader_is_stable([None, None], confidence=0.6)
    assert not leader_is_stable([1, 2], confidence=0.6)


@pytest.mark.parametrize("confidence", [0.5, 1.0, math.nan])
def test_confidence_must_mean_something(confidence: float) -> None:
    with pytest.raises(ConfigError, match="confidence"):
        leader_is_stable([1], confidence=confidence)
