"""Draws over domains, then sources, then examples: card 07, check 6."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.training.diverse_subset import diverse_subset

RECORDS = [("large", at) for at in range(1000)] + [("small", at) for at in range(10)]
DOMAINS = [domain for domain, _ in RECORDS]


def test_domains_share_the_draws_until_one_is_used_up() -> None:
    counts = [
        Counter(domain for domain, _ in diverse_subset(RECORDS, 20, DOMAINS, DOMAINS, seed=seed))["small"]
        for seed in range(200)
    ]
    assert max(counts) <= 10
    # Of 20 fair draws 10 on average, and never more than there are: E min(Binomial(20, 1/2), 10) is 9.12.
    assert sum(counts) / len(counts) == pytest.approx(9.12, abs=0.3)
    everything = diverse_subset(RECORDS, 2000, DOMAINS, DOMAINS)
    assert sorted(everything) == sorted(RECORDS)


def test_sources_share_a_domain() -> None:
    sources = ["a" if at < 990 else "b" for _, at in RECORDS[:1000]]
    drawn = diverse_subset(list(zip(sources, range(1000), strict=True)), 10, ["one"] * 1000, sources, seed=3)
    assert 2 <= Counter(source for source, _ in drawn)["b"] <= 8


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=30),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(0, 9),
)
def test_draws_are_seeded_without_replacement_and_grow_at_their_end(
    about: list[tuple[int, int]], count: int, more: int, seed: int
) -> None:
    records, domains, sources = list(range(len(about))), [d for d, _ in about], [s for _, s in about]
    drawn = diverse_subset(records, count, domains, sources, seed=seed)
    assert len(drawn) == len(set(drawn)) == min(count, len(records))
    assert diverse_subset(records, count + more, domains, sources, seed=seed)[: len(drawn)] == drawn


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput):
        diverse_subset([1], -1, [1], [1])
    with pytest.raises(BadInput):
        diverse_subset([1], 1, [], [1])
