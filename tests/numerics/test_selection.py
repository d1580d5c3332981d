"""Each array selector against its twin that sees one question and one n at a time."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics import pass_at_k, selection, votes

WIDTH = st.integers(1, 7)
# Few values, so that ties are common; thirds do not add up exactly, so that the order of adding shows.
SCORE = st.sampled_from([None, math.nan, -1.0, 0.0, 0.1, 0.2, 0.3, 1 / 3, 2 / 3, 1.0, math.inf, -math.inf])


@st.composite
def questions(draw):
    """Draw tasks of one width: their answers (None: unreadable) and their scores."""
    width = draw(WIDTH)
    answers = st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=width, max_size=width)
    scores = st.lists(SCORE, min_size=width, max_size=width)
    return draw(st.lists(st.tuples(answers, scores), min_size=1, max_size=5))


def arrays(tasks):
    groups = [[-1 if a is None else answers.index(a) for a in answers] for answers, _ in tasks]
    scores = [[math.nan if s is None else s for s in scores] for _, scores in tasks]
    return np.array(groups), np.array(scores)


def each_prefix(tasks, choose):
    sizes = range(1, len(tasks[0][0]) + 1)
    found = [[choose(answers[:n], scores[:n]) for n in sizes] for answers, scores in tasks]
    return list(sizes), [[-1 if at is None else at for at in row] for row in found]


@given(questions())
def test_majority_is_the_vote_of_every_prefix(tasks):
    groups, _ = arrays(tasks)
    sizes, twin = each_prefix(tasks, lambda answers, _: votes.majority(answers))
    assert selection.majority_of_first(groups, sizes).tolist() == twin


@given(questions())
def test_best_of_is_the_best_of_every_prefix(tasks):
    _, scores = arrays(tasks)
    sizes, twin = each_prefix(tasks, lambda _, scores: votes.best_of(scores))
    assert selection.best_of_first(scores, sizes).tolist() == twin


@given(questions())
def test_weighted_vote_is_the_vote_of_every_prefix(tasks):
    groups, scores = arrays(tasks)
    sizes, twin = each_prefix(tasks, votes.weighted_vote)
    assert selection.weighted_vote_of_first(groups, scores, sizes).tolist() == twin


@given(questions(), st.sampled_from([0.0, 0.3, 0.5, 1.0, 1.2, 3.0, 20.0]))
def test_borda_is_the_vote_of_every_prefix(tasks, power):
    groups, scores = arrays(tasks)
    sizes, twin = each_prefix(tasks, lambda answers, scores: votes.borda(answers, scores, power))
    assert selection.borda_of_first(groups, scores, [power] * len(sizes), sizes).tolist() == twin


@given(questions())
def test_borda_of_power_0_is_the_majority(tasks):
    groups, scores = arrays(tasks)
    sizes = list(range(1, groups.shape[1] + 1))
    borda = selection.borda_of_first(groups, scores, [0.0] * len(sizes), sizes)
    assert borda.tolist() == selection.majority_of_first(groups, sizes).tolist()


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n), min_size=1))))
def test_pass_at_is_its_twin(drawn):
    n, correct = drawn
    found = selection.pass_at(np.array(correct), n, range(1, n + 1))
    twin = [[pass_at_k.pass_at_k(n, c, k) for k in range(1, n + 1)] for c in correct]
    np.testing.assert_allclose(found, twin, rtol=1e-12, atol=1e-15)


@given(st.lists(st.sampled_from([None, *"abcd"]), min_size=1, max_size=9), st.sets(st.sampled_from("abcd")))
def test_consensus_is_the_sum_of_its_twins_over_right_answers(answers, right):
    groups = np.array([[-1 if a is None else answers.index(a) for a in answers]])
    grades = np.array([[a in right for a in answers]])
    sizes = range(1, len(answers) + 1)
    twin = [sum(pass_at_k.majority_at_k(answers, k, correct=r) for r in right) for k in sizes]
    np.testing.assert_allclose(selection.consensus_at(groups, grades, sizes)[0], twin, rtol=1e-11, atol=1e-14)


def test_consensus_of_many_samples_agrees_with_exact_counts():
    answers = ["a"] * 30 + ["b"] * 25 + ["c"] * 25 + ["d"] * 10 + [None] * 10
    groups = np.array([[-1 if a is None else answers.index(a) for a in answers]])
    found = selection.consensus_at(groups, np.array([[a == "a" for a in answers]]), [1, 17, 64, 100])[0]
    twin = [pass_at_k.majority_at_k(answers, k, correct="a") for k in (1, 17, 64, 100)]
    np.testing.assert_allclose(found, twin, rtol=1e-10)


@pytest.mark.parametrize("groups", [[[1, 1]], [[0, 1, 2, 4, 4]], [[0, 0, 1]]], ids=["ahead", "further on", "no first"])
def test_groups_that_are_no_first_positions_are_refused(groups):
    with pytest.raises(BadInput, match="first sample"):
        selection.majority_of_first(np.array(groups), [1])


@pytest.mark.parametrize("sizes", [[0], [3], [1, 3]])
def test_sizes_beyond_the_samples_are_refused(sizes):
    groups, scores = np.array([[0, 1]]), np.array([[0.1, 0.2]])
    for call in (
        lambda: selection.majority_of_first(groups, sizes),
        lambda: selection.best_of_first(scores, sizes),
        lambda: selection.weighted_vote_of_first(groups, scores, sizes),
        lambda: selection.borda_of_first(groups, scores, [1.0] * len(sizes), sizes),
        lambda: selection.pass_at(np.array([1]), 2, sizes),
        lambda: selection.consensus_at(groups, scores > 0, sizes),
    ):
        with pytest.raises(ConfigError, match="between 1 and"):
            call()


@pytest.mark.parametrize("power", [-1.0, math.nan, 1e6])
def test_powers_that_give_no_votes_are_refused(power):
    with pytest.raises(ConfigError, match="power"):
        selection.borda_of_first(np.array([[0, 1]]), np.array([[0.1, 0.2]]), [power], [2])


def test_shapes_that_differ_are_refused():
    groups, scores = np.array([[0, 1]]), np.array([[0.1]])
    with pytest.raises(BadInput, match="same shape"):
        selection.weighted_vote_of_first(groups, scores, [1])
    with pytest.raises(BadInput, match="same shape"):
        selection.borda_of_first(groups, scores, [1.0], [1])


def test_counts_beyond_the_samples_are_refused():
    with pytest.raises(BadInput, match="between 0 and 2"):
        selection.pass_at(np.array([3]), 2, [1])


def test_consensus_of_too_many_samples_is_refused():
    with pytest.raises(ConfigError, match="at most 1,000"):
        selection.consensus_at(np.zeros((1, 1001), dtype=int), np.ones((1, 1001), dtype=bool), [1])


@given(questions(), st.data())
def test_best_at_is_the_mean_over_all_subsets(tasks, data):
    _, scores = arrays(tasks)
    right = np.array([[data.draw(st.booleans()) for _ in row] for row in scores])
    width = scores.shape[1]
    found = selection.best_at(scores, right, range(1, width + 1))
    for task in range(len(scores)):
        for k in range(1, width + 1):
            shares = []
            for subset in itertools.combinations(range(width), k):
                held = [at for at in subset if not math.isnan(scores[task, at])]
                top = [at for at in held if scores[task, at] == max(scores[task, held])]
                shares.append(sum(right[task, at] for at in top) / len(top) if top else 0)
            assert found[task, k - 1] == pytest.approx(sum(shares) / len(shares))


def test_best_at_refuses_other_shapes_and_sizes():
    with pytest.raises(BadInput):
        selection.best_at(np.zeros((1, 2)), np.zeros((1, 3), dtype=bool), [1])
    with pytest.raises(ConfigError):
        selection.best_at(np.zeros((1, 2)), np.zeros((1, 2), dtype=bool), [3])
