from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.lexical import TfIdf, cosine, diverse_top, shares_run, words

TEXTS = ["ann has apples", "bob has pears", "a train leaves a town", "two trains meet", "add the apples", "a b c"]
texts = st.lists(st.text("ab c", min_size=1), min_size=1, max_size=6)


def test_weights_are_the_smoothed_ones_at_unit_length() -> None:
    # Two texts: "a" in both has ln(3/3) + 1 = 1, "b" in one has ln(3/2) + 1.
    vector = TfIdf(["a b", "a"]).vector("a b")
    rare = math.log(1.5) + 1
    assert vector["a"] == pytest.approx(1 / math.hypot(1, rare))
    assert vector["b"] == pytest.approx(rare / math.hypot(1, rare))


def test_text_of_the_bank_finds_itself_with_cosine_one() -> None:
    weights = TfIdf(TEXTS)
    bank = [weights.vector(text) for text in TEXTS]
    for at, text in enumerate(TEXTS):
        ((found, similarity),) = diverse_top(weights.vector(text), bank, 1)
        assert found == at
        assert similarity == pytest.approx(1)


def test_bank_without_common_words_gives_zero() -> None:
    weights = TfIdf(TEXTS)
    assert cosine(weights.vector("xyzzy"), weights.vector(TEXTS[0])) == 0


@given(texts, st.text("ab c"), st.integers(0, 8))
def test_mu_one_is_the_plain_top_k(bank: list[str], query: str, count: int) -> None:
    weights = TfIdf(bank)
    vectors, asked = [weights.vector(text) for text in bank], weights.vector(query)
    plain = sorted(range(len(bank)), key=lambda at: -cosine(asked, vectors[at]))[:count]
    assert [at for at, _ in diverse_top(asked, vectors, count)] == plain


def test_diversity_passes_over_a_copy() -> None:
    weights = TfIdf(["a b", "a b", "a c"])
    bank = [weights.vector(text) for text in ("a b", "a b", "a c")]
    assert [at for at, _ in diverse_top(weights.vector("a b"), bank, 2, mu=0.4)] == [0, 2]


@given(texts)
def test_cosine_is_symmetric_and_in_range(bank: list[str]) -> None:
    weights = TfIdf(bank)
    left, right = weights.vector(bank[0]), weights.vector(bank[-1])
    assert 0 <= cosine(left, right) <= 1
    assert cosine(left, right) == cosine(right, left)


def test_words_in_a_row_are_found_whatever_stands_around() -> None:
    run = " ".join(map(str, range(13)))
    assert shares_run(f"x {run} y", f"z {run}")
    assert not shares_run(run, run.replace("5", "five"))
    assert not shares_run("short", "short")


def test_words_are_lower_case_with_signs_apart() -> None:
    assert words("Ann's 3+4") == ["ann", "'", "s", "3", "+", "4"]
