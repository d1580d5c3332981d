from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.votes import best_of, borda, borda_weights, hierarchical_vote, majority, totals, weighted_vote

ANSWERS = st.lists(st.sampled_from(["a", "b", "c", None]), max_size=8)
# Multiples of 1/8 add without rounding, so that a test may reorder or scale them.
SCORES = st.one_of(st.none(), st.integers(-16, 16).map(lambda k: k / 8))
SCORED = st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), SCORES), max_size=8)


def unzip(pairs: list[tuple[str | None, float | None]]) -> tuple[list[str | None], list[float | None]]:
    return [a for a, _ in pairs], [s for _, s in pairs]


def test_majority_returns_the_first_sample_of_the_winner() -> None:
    assert majority(["b", "a", None, "a", "c"]) == 1


def test_majority_ties_go_to_the_answer_seen_first() -> None:
    assert majority(["b", "a", "a", "b"]) == 0


@pytest.mark.parametrize("answers", [[], [None, None]])
def test_majority_of_nothing_is_none(answers: list[str | None]) -> None:
    assert majority(answers) is None


def test_unreadable_answers_form_no_group() -> None:
    assert majority([None, None, None, "a"]) == 3


def test_group_zero_is_an_answer() -> None:
    assert majority([None, 1, 0, 0]) == 2


@given(ANSWERS)
def test_majority_agrees_with_counting(answers: list[str | None]) -> None:
    counts = Counter(a for a in answers if a is not None)
    at = majority(answers)
    if at is None:
        assert not counts
    else:
        assert answers[at] == max(counts, key=counts.__getitem__)  # insertion order: first seen wins ties
        assert answers.index(answers[at]) == at


@given(ANSWERS)
def test_equal_scores_make_the_weighted_vote_a_majority(answers: list[str | None]) -> None:
    assert weighted_vote(answers, [0.5] * len(answers)) == majority(answers)


def test_weighted_vote_returns_the_best_sample_of_the_winner() -> None:
    # Card 04, check 1.
    answers, scores = ["A", "B", "B", "C"], [0.9, 0.45, 0.5, 0.2]
    assert weighted_vote(answers, scores) == 2
    assert best_of(scores) == 0
    assert totals(answers, scores) == {"A": 0.9, "B": 0.95, "C": 0.2}


@given(SCORED)
def test_weighted_vote_agrees_with_its_definition(pairs: list[tuple[str | None, float | None]]) -> None:
    answers, scores = unzip(pairs)
    sums: dict[str, float] = {}
    for answer, score in pairs:
        if answer is not None and score is not None:
            sums[answer] = sums.get(answer, 0) + score
    at = weighted_vote(answers, scores)
    if at is None:
        assert not sums
    else:
        winner = max(sums, key=sums.__getitem__)
        assert (answers[at], scores[at]) == (winner, max(s for a, s in pairs if a == winner and s is not None))


@given(SCORED, st.sampled_from([0.25, 2.0, 64.0]))
def test_votes_ignore_the_scale_of_scores(pairs: list[tuple[str | None, float | None]], scale: float) -> None:
    answers, scores = unzip(pairs)
    scaled = [None if s is None else s * scale for s in scores]
    assert weighted_vote(answers, scaled) == weighted_vote(answers, scores)
    assert best_of(scaled) == best_of(scores)


@given(SCORED)
def test_totals_conserve_the_readable_weight(pairs: list[tuple[str | None, float | None]]) -> None:
    answers, scores = unzip(pairs)
    readable = [s for a, s in pairs if a is not None and s is not None]
    assert sum(totals(answers, scores).values()) == sum(readable)


@pytest.mark.parametrize("missing", [None, math.nan])
def test_missing_score_is_not_zero(missing: float | None) -> None:
    assert best_of([missing, -3.0, missing]) == 1
    assert weighted_vote(["a", "b"], [missing, -3.0]) == 1
    assert totals(["a", "b", "b"], [missing, -3.0, missing]) == {"b": -3.0}
    assert best_of([missing]) is None
    assert weighted_vote(["a"], [missing]) is None


def test_best_of_takes_the_first_of_equals_and_infinities() -> None:
    assert best_of([0.5, 0.7, 0.7]) == 1
    assert best_of([-math.inf, -math.inf]) == 0
    assert best_of([1.0, math.inf]) == 1


def test_totals_that_are_no_number_never_win() -> None:
    assert weighted_vote(["a", "a", "b"], [math.inf, -math.inf, 0.1]) == 2


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        weighted_vote(["a", "b"], [1.0])


def test_hierarchical_vote_of_card_04() -> None:
    # Check 5: B .5 stands for chain 1 and A .35 for chain 2.
    chains = [[("A", 0.8), ("B", 0.5), ("B", 0.4)], [("A", 0.3), ("A", 0.35), ("C", 0.6)]]
    assert hierarchical_vote(chains) == ((1, 1), 0)


def test_hierarchical_vote_passes_over_chains_without_an_answer() -> None:
    chains: list[list[tuple[str | None, float | None]]] = [[(None, 0.9)], [], [("a", 0.1)]]
    assert hierarchical_vote(chains) == ((None, None, 0), 2)
    assert hierarchical_vote([[(None, 0.9)], []]) == ((None, None), None)


@given(SCORED)
def test_chains_of_one_make_a_flat_weighted_vote(pairs: list[tuple[str | None, float | None]]) -> None:
    answers, scores = unzip(pairs)
    assert hierarchical_vote([[pair] for pair in pairs]).chain == weighted_vote(answers, scores)
    assert hierarchical_vote([pairs]).representatives == (weighted_vote(answers, scores),)


CARD_26 = ["7", "9", "9", "7", "7", "9", None, "3"], [12.1, 15.0, 14.2, 11.0, 10.5, 13.0, 16.0, 15.5]


@pytest.mark.parametrize(
    ("power", "winner", "sums"),
    [
        (0, 0, {"7": 3, "9": 3, "3": 1}),
        (0.3, 1, {"7": 3.6215, "9": 4.8481, "3": 1.7928}),
        (2, 1, {"7": 14, "9": 77, "3": 49}),
        (20, 7, {"7": 3487832978, "9": 3752625383331377, "3": 7**20}),
    ],
)
def test_borda_of_card_26(power: float, winner: int, sums: dict[str, float]) -> None:
    answers, confidences = CARD_26
    assert borda(answers, confidences, power) == winner
    assert totals(answers, borda_weights(confidences, power)) == pytest.approx(sums, abs=5e-5)


CONFIDENT = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.one_of(st.none(), st.floats(-9, 9))), min_size=1, max_size=9
)


@given(CONFIDENT)
def test_borda_of_power_zero_is_the_majority(pairs: list[tuple[str | None, float | None]]) -> None:
    answers, confidences = unzip(pairs)
    assert borda(answers, confidences, 0) == majority(answers)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(-9, 9)), min_size=1, max_size=9))
def test_borda_of_a_large_power_follows_the_most_confident(pairs: list[tuple[str, float]]) -> None:
    answers, confidences = [a for a, _ in pairs], [c for _, c in pairs]
    top = best_of(confidences)
    assert top is not None
    assert borda(answers, confidences, 60) == answers.index(answers[top])


@given(CONFIDENT, st.integers(0, 5))
def test_borda_weights_are_the_ranks(pairs: list[tuple[str | None, float | None]], power: int) -> None:
    _, confidences = unzip(pairs)
    n = len(confidences)
    assert sorted(borda_weights(confidences, power)) == [k**power for k in range(1, n + 1)]


@given(st.lists(st.integers(-5, 5)))
def test_borda_sees_only_the_order_of_confidences(confidences: list[int]) -> None:
    assert borda_weights([c**3 - 7 for c in confidences], 2) == borda_weights(confidences, 2)


def test_borda_ranks_equal_confidences_in_order_and_missing_ones_last() -> None:
    assert borda_weights([None, 1.0, math.nan, 1.0], 1) == [2, 4, 1, 3]


def test_votes_do_not_depend_on_the_order_of_samples_without_ties() -> None:
    rng = random.Random(0)
    pairs = [("a", 0.5), ("b", 0.75), ("b", 0.125), ("c", 0.25), (None, 9.0)]
    for _ in range(20):
        rng.shuffle(pairs)
        answers, scores = [a for a, _ in pairs], [s for _, s in pairs]
        at = weighted_vote(answers, scores)
        assert at is not None
        assert pairs[at] == ("b", 0.75)
