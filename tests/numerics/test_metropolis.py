"""The acceptance rule: detailed balance by enumeration, the values of card 02, and the choices from a chain."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.metropolis import (
    CLAMP,
    acceptance,
    checkpoints,
    cut_log_probability,
    cut_support,
    effective_sample_size,
    held_states,
    log_acceptance,
    log_quest_acceptance,
    mbr_pick,
    rouge1_f1,
    softmax_weights,
    unigram_overlap,
)
from tests.numerics.enumerable_law import Answer, Law, mean, target, total_variation, transition_matrix

PLACES = 4


def list_answers(probabilities: list[float], reward: list[float]) -> Law:
    """All answers of up to three letters of the alphabet and the end of text, its last token."""
    eos = len(probabilities) - 1
    forced = [float(token == eos) for token in range(len(probabilities))]

    def next_token(prefix: Answer) -> list[float]:
        return forced if len(prefix) == PLACES - 1 else probabilities

    answers: list[Answer] = []
    open_: list[Answer] = [()]
    while open_:
        prefix = open_.pop()
        answers.append((*prefix, eos))
        if len(prefix) < PLACES - 1:
            open_ += [(*prefix, token) for token in range(eos)]
    law = Law(answers, [0.0] * len(answers), [sum(reward[token] for token in a) for a in answers], next_token)
    return law._replace(base=[law.suffix(0, at) for at in range(len(answers))])


TOY = list_answers([0.5, 0.3, 0.2], [1.0, 0.0, 0.0])


def matrix_of(law: Law, beta: float) -> list[list[float]]:
    def chance(a: int, b: int) -> float:
        # Without the clip: it accepts what has a ratio below exp(-20) a little too often.
        ratio = log_acceptance(
            law.reward[a],
            law.reward[b],
            beta=beta,
            length_old=len(law.answers[a]),
            length_new=len(law.answers[b]),
            clamp=math.inf,
        )
        return acceptance(ratio)

    return transition_matrix(law, chance)


@given(
    st.lists(st.floats(0.05, 1.0), min_size=3, max_size=3),
    st.lists(st.floats(-2.0, 2.0), min_size=3, max_size=3),
    st.floats(0.5, 10.0),
)
def test_detailed_balance_holds_for_any_law(weights: list[float], reward: list[float], beta: float) -> None:
    law = list_answers([w / sum(weights) for w in weights], reward)
    matrix, wanted = matrix_of(law, beta), target(law, beta)
    for a in range(len(wanted)):
        for b in range(a):
            assert wanted[a] * matrix[a][b] == pytest.approx(wanted[b] * matrix[b][a], abs=1e-14)


def test_toy_of_the_card() -> None:
    matrix, wanted = matrix_of(TOY, 1.0), target(TOY, 1.0)
    after = [math.fsum(wanted[a] * matrix[a][b] for a in range(15)) for b in range(15)]
    assert total_variation(after, wanted) < 1e-15
    assert mean(TOY.base, TOY.reward) == pytest.approx(1.22)
    assert mean(wanted, TOY.reward) == pytest.approx(2.194492, abs=1e-6)
    assert mean(wanted, [float(len(a)) for a in TOY.answers]) == pytest.approx(3.678877, abs=1e-6)


def test_acceptance_values_of_the_card() -> None:
    there = log_acceptance(1.0, 1.5, beta=0.5, length_old=100, length_new=120)
    back = log_acceptance(1.5, 1.0, beta=0.5, length_old=120, length_new=100)
    assert math.exp(there) == pytest.approx(2.265, abs=1e-3)
    assert acceptance(there) == 1.0
    assert acceptance(back) == pytest.approx(0.441455, abs=1e-6)


def test_large_beta_leaves_the_lengths() -> None:
    assert acceptance(log_acceptance(-5, 9, beta=1e9, length_old=3, length_new=12)) == pytest.approx(0.25, abs=1e-6)


def test_fresh_samples_have_no_length_in_their_ratio() -> None:
    assert log_acceptance(0.0, -1.0, beta=1.0, length_old=3, length_new=70, block=None) == -1.0
    assert list(cut_support(9, None)) == [0]
    assert cut_log_probability(9, None) == 0


def test_ratio_is_clipped_on_both_sides() -> None:
    assert log_acceptance(0, -1e9, beta=0.1, length_old=5, length_new=5) == -CLAMP
    assert log_acceptance(0, 1e9, beta=0.1, length_old=5, length_new=5, clamp=3) == 3


@given(st.integers(1, 200), st.integers(1, 12))
def test_cuts_are_multiples_of_the_block_inside_the_answer(length: int, block: int) -> None:
    if length < block:
        with pytest.raises(BadInput):
            cut_support(length, block)
        return
    cuts = cut_support(length, block)
    assert all(cut % block == 0 and cut < length for cut in cuts)
    assert math.exp(cut_log_probability(length, block)) * len(cuts) == pytest.approx(1)


@pytest.mark.parametrize(("beta", "clamp"), [(0.0, CLAMP), (math.nan, CLAMP), (1.0, 0.0)])
def test_settings_are_checked(beta: float, clamp: float) -> None:
    with pytest.raises(ConfigError):
        log_acceptance(0, 0, beta=beta, length_old=1, length_new=1, clamp=clamp)


def test_answers_have_a_length() -> None:
    with pytest.raises(BadInput):
        log_acceptance(0, 0, beta=1, length_old=0, length_new=1)
    with pytest.raises(ConfigError):
        cut_support(3, 0)


def test_quest_takes_the_mean_of_what_follows_the_cut() -> None:
    old, new = [-9.0, -1.0, -3.0], [-9.0, -1.0, -1.0]
    ratio = log_quest_acceptance(0, 0, beta=1, logprobs_old=old, logprobs_new=new, cut=1)
    assert ratio == pytest.approx(-1.0)
    with pytest.raises(BadInput):
        log_quest_acceptance(0, 0, beta=1, logprobs_old=old, logprobs_new=new, cut=3)


def test_refused_proposals_repeat_the_last_accepted_state() -> None:
    assert held_states([True, False, True, False, False]) == [0, 0, 2, 2, 2]
    assert held_states([]) == []
    with pytest.raises(BadInput):
        held_states([False, True])


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_utilities_are_symmetric_shares(left: list[int], right: list[int]) -> None:
    for value in (rouge1_f1(left, right), unigram_overlap(left, right, 6)):
        assert 0 <= value <= 1
    assert rouge1_f1(left, right) == pytest.approx(rouge1_f1(right, left))
    assert rouge1_f1(left, left) == float(bool(left))


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=5), st.data())
def test_counts_stand_for_repeats(states: list[list[int]], data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(1, 3), min_size=len(states), max_size=len(states)))
    repeated = [state for state, count in zip(states, counts, strict=True) for _ in range(count)]
    whole, short = mbr_pick(repeated), mbr_pick(states, counts=counts)
    assert whole is not None
    assert short is not None
    gains = [sum(rouge1_f1(state, other) for other in repeated) for state in (repeated[whole], states[short])]
    assert gains[0] == pytest.approx(gains[1])


def test_nothing_is_picked_from_no_states() -> None:
    assert mbr_pick([]) is None


def test_softmax_weights_sum_to_one_at_any_temperature() -> None:
    for beta in (1e-3, 1.0, 1e9):
        assert math.fsum(softmax_weights([2.0, 0.5, 0.6, 0.4], beta)) == pytest.approx(1)
    assert softmax_weights([2.0, 0.5, 0.6, 0.4], 1.0)[0] == pytest.approx(0.598, abs=1e-3)
    assert softmax_weights([], 1.0) == []


def test_checkpoints_are_powers_then_multiples() -> None:
    assert checkpoints(64, 16) == [1, 2, 4, 8, 16, 32, 48, 64]
    assert checkpoints(5, 1) == [1, 2, 3, 4, 5]


def test_independent_values_are_worth_themselves_and_repeats_less() -> None:
    rng = random.Random(1)
    values = [rng.gauss(0, 1) for _ in range(2000)]
    repeated = [value for value in values[:200] for _ in range(10)]
    assert effective_sample_size(values) > 1500
    assert 120 < effective_sample_size(repeated) < 320
    assert effective_sample_size([3.0] * 9) == 9
    assert effective_sample_size([]) == 0


def test_effective_sample_size_of_an_autoregression_is_that_of_theory() -> None:
    rng, values = random.Random(2), [0.0]
    for _ in range(20_000):
        values.append(0.8 * values[-1] + rng.gauss(0, 1))
    assert effective_sample_size(values) / len(values) == pytest.approx(0.2 / 1.8, rel=0.15)
