from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.lexical import Bm25, TfIdf, Vector, cosine, diverse_top, shares_run, words

TEXTS = ["ann has apples", "bob has pears", "a train leaves a town", "two trains meet", "add the apples", "a b c"]
texts = st.lists(st.text("ab c", min_size=1), min_size=1, max_size=6)


def similar(query: Vector, bank: list[Vector]) -> list[float]:
    return [cosine(query, vector) for vector in bank]


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
        ((found, similarity),) = diverse_top(similar(weights.vector(text), bank), bank, 1)
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
    assert [at for at, _ in diverse_top(similar(asked, vectors), vectors, count)] == plain


def test_diversity_passes_over_a_copy() -> None:
    weights = TfIdf(["a b", "a b", "a c"])
    bank = [weights.vector(text) for text in ("a b", "a b", "a c")]
    assert [at for at, _ in diverse_top(similar(weights.vector("a b"), bank), bank, 2, mu=0.4)] == [0, 2]


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


def test_only_the_pool_is_considered_for_diversity() -> None:
    bank: list[Vector] = [{"a": 1.0}, {"a": 1.0}, {"b": 1.0}]
    assert [at for at, _ in diverse_top([0.9, 0.8, 0.1], bank, 2, mu=0.5)] == [0, 2]
    assert [at for at, _ in diverse_top([0.9, 0.8, 0.1], bank, 2, mu=0.5, pool=2)] == [0, 1]
    assert diverse_top([0.9, 0.8, 0.1], bank, 3, pool=1) == [(0, 0.9)]


def test_bm25_follows_its_formula() -> None:
    # Two texts of 2 and 1 words (mean 1.5); "b" is in one of them: ln(1 + 1.5 / 1.5) = ln 2; "a" in both: ln 1.2.
    bank = Bm25(["a b", "a"], k1=1.5, b=0.75)
    held = {2: 1.5 * (0.25 + 0.75 * 2 / 1.5), 1: 1.5 * (0.25 + 0.75 * 1 / 1.5)}

    def part(weight: float, length: int) -> float:
        return weight * 2.5 / (1 + held[length])

    own = part(math.log(2), 1)  # the query alone, as a text of one word
    assert bank.scores("b") == pytest.approx([part(math.log(2), 2) / own, 0.0])
    assert bank.scores("a")[0] == pytest.approx(part(math.log(1.2), 2) / part(math.log(1.2), 1))


@given(texts, st.text("ab c", min_size=1))
def test_bm25_is_in_range_and_a_text_has_the_full_score_with_itself(bank: list[str], query: str) -> None:
    scores = Bm25(bank).scores(query)
    assert len(scores) == len(bank)
    assert all(0 <= score <= 1 for score in scores)
    if words(bank[0]):
        assert Bm25(bank).scores(bank[0])[0] == pytest.approx(1)
    assert Bm25([]).scores(query) == []
