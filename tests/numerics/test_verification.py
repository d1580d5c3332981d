from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.verification import (
    Vote,
    credit_interval,
    filtered_pass_rate,
    mean_difficulty,
    pass_rate_intervals,
    pick_rates,
    population_gain,
    population_pass_rate,
    quartiles,
    rates,
    read_verdict,
    verification_gain,
)

shares = st.floats(0, 1)
votes_and_labels = st.lists(st.tuples(st.sampled_from([True, False, None]), st.booleans()), min_size=1)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("...Verdict: [[Correct]].", True),
        ("Verdict: [[Incorrect]]", False),
        ("Verdict: Correct or Incorrect", None),
        ("", None),
        ("Verdict: [[Incorrect]]\nVerdict: [[Correct]]", True),
        ("Correct so far. Verdict: none", None),
        ("The answer is Correct", True),
    ],
)
def test_verdict_is_what_follows_the_last_mark(text: str, verdict: Vote) -> None:
    assert read_verdict(text) is verdict


@pytest.mark.parametrize(
    ("p", "tpr", "tnr", "gain"),
    [
        (0.4, 0.9, 0.7, 0.266667),
        (0.05, 0.9, 0.7, 0.0864),
        (0.05, 0.6, 0.95, 0.3371),
        (0.05, 0.95, 0.2, 0.0088),
        (0.9, 0.9, 0.7, 0.0643),
        (0.9, 0.6, 0.95, 0.0908),
        (0.9, 0.95, 0.2, 0.0144),
    ],
)
def test_gains_of_the_card(p: float, tpr: float, tnr: float, gain: float) -> None:
    assert population_gain(p, tpr, tnr) == pytest.approx(gain, abs=5e-5)


@given(shares, st.integers(0, 64))
def test_verifier_that_tells_nothing_gains_nothing(p: float, steps: int) -> None:
    tpr = steps / 64  # so that 1 - tpr is exact
    assert population_gain(p, tpr, 1 - tpr) == pytest.approx(0, abs=1e-9)


@given(shares, shares, shares)
def test_pass_rate_after_filtering_is_a_share(p: float, tpr: float, tnr: float) -> None:
    assert -1e-12 <= population_pass_rate(p, tpr, tnr) <= 1 + 1e-12
    assert population_pass_rate(0, tpr, tnr) == 0
    assert population_gain(1, tpr, tnr) == 0


def test_sample_of_the_card() -> None:
    votes: list[Vote] = [True, True, False, None, False, True, None, False]
    labels = [True, False, True, True, False, True, False, False]
    found = rates(votes, labels)
    assert filtered_pass_rate(votes, labels) == 0.625
    assert (found.tpr, found.tnr, found.strict_tpr, found.strict_tnr) == (0.625, 0.625, 0.5, 0.75)


def test_where_everything_is_rejected_nothing_is_filtered() -> None:
    assert filtered_pass_rate([False, False], [True, False]) == 0.5


def test_rates_of_an_absent_kind_are_missing() -> None:
    assert (rates([True], [True]).tnr, rates([True], [False]).tpr) == (None, None)
    assert (rates([], []).strict_tpr, rates([], []).strict_tnr) == (None, None)
    with pytest.raises(BadInput):
        filtered_pass_rate([], [])
    with pytest.raises(BadInput):
        verification_gain([])


@given(votes_and_labels)
def test_filtering_weighs_right_answers_by_their_credit(pairs: list[tuple[Vote, bool]]) -> None:
    votes, labels = [v for v, _ in pairs], [label for _, label in pairs]
    found = rates(votes, labels)
    kept = found.accepted + (found.wrong - found.rejected)
    expected = found.accepted / kept if kept else sum(labels) / len(labels)
    assert filtered_pass_rate(votes, labels) == pytest.approx(expected)


def test_wilson_of_the_card() -> None:
    assert credit_interval(8, 10) == pytest.approx((0.8, 0.490162, 0.943318), abs=1e-6)
    assert credit_interval(0, 0) == (0, 0, 0)


def test_empirical_gain_is_that_of_the_population() -> None:
    rng = random.Random(5)
    p, tpr, tnr = 0.3, 0.8, 0.7
    labels = [rng.random() < p for _ in range(100_000)]
    votes: list[Vote] = [rng.random() < (tpr if label else 1 - tnr) for label in labels]
    assert filtered_pass_rate(votes, labels) == pytest.approx(population_pass_rate(p, tpr, tnr), abs=0.01)


def test_a_verifier_that_trusts_its_own_answer_rejects_right_answers_to_hard_problems() -> None:
    """Card 21, check 7: it accepts what agrees with its own solution, right with probability s."""
    rng = random.Random(6)

    def measure(s: float) -> tuple[float, float]:
        votes: list[Vote] = []
        labels = []
        for _ in range(20_000):
            own = 0 if rng.random() < s else rng.randint(1, 10)
            answer = 0 if rng.random() < 0.5 else rng.randint(1, 10)
            votes.append(own == answer)
            labels.append(answer == 0)
        found = rates(votes, labels)
        assert found.tpr is not None
        assert found.tnr is not None
        return found.tpr, found.tnr

    assert measure(0.2) == pytest.approx((0.2, 0.92), abs=0.02)
    assert measure(0.9) == pytest.approx((0.9, 0.99), abs=0.02)


@given(st.lists(st.floats(0, 1)))
def test_every_problem_is_in_one_bin_and_bins_rise(pass_rates: list[float]) -> None:
    for bins in (quartiles(pass_rates), list(pass_rate_intervals(pass_rates).values())):
        assert sorted(index for bin_ in bins for index in bin_) == list(range(len(pass_rates)))
    ordered = [pass_rates[index] for bin_ in quartiles(pass_rates) for index in bin_]
    assert ordered == sorted(pass_rates)


def test_decimal_edges_belong_to_the_bin_above() -> None:
    found = pass_rate_intervals([k / 10 for k in range(11)])
    assert [len(members) for members in found.values()] == [1] * 10 + [0, 1]


def test_difficulty_is_the_mean_over_generators() -> None:
    assert mean_difficulty({"weak": [0.0, 0.5], "strong": [0.5, 1.0]}) == [0.25, 0.75]


def test_generators_are_compared_on_the_problems_that_they_share() -> None:
    answers: dict[str, list[list[tuple[Vote, bool]]]] = {
        "weak": [[(True, True)], [(False, True), (False, False)], [(True, False)]],
        "strong": [[(True, True)], [(None, True), (True, False)], [(True, True)]],
    }
    assert pick_rates(answers, wanted="right") == {"weak": 0.5, "strong": 0.75}
    assert pick_rates(answers, wanted="wrong") == {"weak": 1.0, "strong": 0.0}
    with pytest.raises(BadInput):
        pick_rates({"weak": [[(True, True)]], "strong": [[]]}, wanted="right")
