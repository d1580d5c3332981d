"""Bayesian optimisation over categorical choices: closed forms, a naive twin, and worlds with a known best."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.parzen import split_trials, suggest, value_weights


def test_the_best_share_is_good_and_of_equals_the_older() -> None:
    assert split_trials([1.0, 3.0, 2.0, 3.0], 0.25) == ([1], [0, 2, 3])
    assert split_trials([1.0, 3.0, 2.0, 3.0], 0.5) == ([1, 3], [0, 2])
    assert split_trials([0.0, 0.0, 0.0], 0.1) == ([0], [1, 2])


@given(st.lists(st.integers(0, 3), max_size=20))
def test_weights_are_those_of_a_naive_twin(seen: list[int]) -> None:
    found = value_weights(seen, 4)
    assert found == [(seen.count(value) + 1) / (len(seen) + 4) for value in range(4)]
    assert math.isclose(sum(found), 1)


def test_before_the_start_everything_is_as_likely() -> None:
    drawn = Counter(suggest([], (2, 3), random.Random(seed)) for seed in range(1200))
    assert len(drawn) == 6
    assert all(150 < count < 250 for count in drawn.values())


def test_a_single_candidate_follows_the_good_trials_in_closed_form() -> None:
    """Good: the one trial with value 1 of the first choice, so P(1) = (1 + 1) / (1 + 2)."""
    trials = [((1,), 1.0), ((0,), 0.0), ((0,), 0.0), ((0,), 0.0)]
    drawn = [suggest(trials, (2,), random.Random(seed), startup=4, candidates=1)[0] for seed in range(3000)]
    assert abs(sum(drawn) / 3000 - 2 / 3) < 3 * math.sqrt(2 / 9 / 3000)


def test_of_many_candidates_the_likeliest_ratio_is_taken() -> None:
    trials = [((1, 0), 1.0), ((0, 0), 0.0), ((0, 1), 0.0), ((0, 1), 0.0)]
    assert suggest(trials, (2, 2), random.Random(0), startup=4, candidates=200) == (1, 0)


def test_it_finds_a_hidden_choice_sooner_than_chance() -> None:
    """Value: how many of eight choices agree with a hidden one."""
    hidden = (1, 0, 2, 1, 0, 2, 1, 0)
    best = []
    for seed in range(20):
        stream = random.Random(seed)
        trials: list[tuple[tuple[int, ...], float]] = []
        for _ in range(60):
            choices = suggest(trials, (3,) * 8, stream, startup=10)
            trials.append((choices, float(sum(a == b for a, b in zip(choices, hidden, strict=True)))))
        best.append(max(value for _, value in trials))
        early = sum(value for _, value in trials[:10]) / 10
        late = sum(value for _, value in trials[-10:]) / 10
        assert late > early + 1
    assert sum(best) / len(best) > 8 / 3 + 3, "8 / 3 agree by chance"


def test_a_seed_fixes_the_suggestion() -> None:
    trials = [((k % 2, k % 3), float(k)) for k in range(12)]
    assert suggest(trials, (2, 3), random.Random(4)) == suggest(trials, (2, 3), random.Random(4))


@pytest.mark.parametrize("trial", [((0,), 1.0), ((0, 2), 1.0), ((-1, 0), 1.0)])
def test_trials_with_other_choices_are_refused(trial: tuple[tuple[int, ...], float]) -> None:
    with pytest.raises(BadInput):
        suggest([trial], (2, 2), random.Random(0))
