from __future__ import annotations

import itertools
import math
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.numerics.pass_at_k import majority_at_k, pass_at_k
from ponder.numerics.votes import majority


@given(st.integers(1, 60), st.data())
def test_pass_at_k_is_the_ratio_of_binomials(n: int, data: st.DataObject) -> None:
    correct, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert pass_at_k(n, correct, k) == pytest.approx(1 - math.comb(n - correct, k) / math.comb(n, k), abs=1e-12)


@given(st.integers(1, 40), st.data())
def test_pass_at_k_grows_with_k_from_the_share_of_correct(n: int, data: st.DataObject) -> None:
    correct = data.draw(st.integers(0, n))
    curve = [pass_at_k(n, correct, k) for k in range(1, n + 1)]
    assert curve[0] == pytest.approx(correct / n, abs=1e-12)
    assert curve == sorted(curve)
    assert curve[-1] == (1.0 if correct else 0.0)


def test_pass_at_k_stays_finite_where_binomials_do_not() -> None:
    assert pass_at_k(100_000, 10, 1_000) == pytest.approx(1 - 0.99**10, abs=1e-4)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=6), st.data())
def test_majority_at_k_is_the_mean_over_ordered_draws(answers: list[str | None], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(answers)))
    won = []
    for drawn in itertools.permutations(answers, k):
        at = majority(drawn)
        won.append(at is not None and drawn[at] == "a")
    assert majority_at_k(answers, k, correct="a") == pytest.approx(fmean(won), abs=1e-12)


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=12), st.data())
def test_majority_at_k_shares_one_among_the_answers(answers: list[str], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(answers)))
    assert sum(majority_at_k(answers, k, correct=x) for x in "abc") == pytest.approx(1)


def test_majority_at_k_holds_many_samples() -> None:
    answers = ["a"] * 120 + ["b"] * 80
    assert majority_at_k(answers, 1, correct="a") == pytest.approx(0.6)
    assert majority_at_k(answers, 101, correct="a") > 0.99
    assert majority_at_k(answers, 200, correct="a") == 1
    assert majority_at_k(answers, 5, correct="c") == 0


@pytest.mark.parametrize(("n", "correct", "k"), [(3, 1, 0), (3, 1, 4), (3, 4, 1), (3, -1, 1)])
def test_impossible_counts_are_refused(n: int, correct: int, k: int) -> None:
    with pytest.raises(ConfigError, match="must be between"):
        pass_at_k(n, correct, k)


@pytest.mark.parametrize("k", [0, 3])
def test_majority_of_more_than_there_are_is_refused(k: int) -> None:
    with pytest.raises(ConfigError, match="k must be between"):
        majority_at_k(["a", "b"], k, correct="a")
