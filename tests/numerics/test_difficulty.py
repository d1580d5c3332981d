from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.numerics.difficulty import absolute_bin, quantile_bins

RATES = st.lists(st.floats(0, 1), max_size=30)


def test_ten_distinct_rates_give_two_a_bin() -> None:
    # Card 04, check 7.
    rates = [k / 10 for k in range(10)]
    assert quantile_bins(rates) == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]


@given(RATES, st.integers(1, 9))
def test_bins_follow_the_rates_and_differ_by_one_question(rates: list[float], bins: int) -> None:
    found = quantile_bins(rates, bins)
    for left, right in zip(rates, found, strict=True):
        assert all(right <= other for rate, other in zip(rates, found, strict=True) if rate < left)
    sizes = [Counter(found)[k] for k in range(1, bins + 1)]
    assert sum(sizes) == len(rates)
    assert max(sizes) - min(sizes) <= 1


def test_equal_rates_fill_the_bins_in_order() -> None:
    assert quantile_bins([0.5] * 7) == [1, 1, 2, 3, 3, 4, 5]


def test_no_bins_are_refused() -> None:
    with pytest.raises(ConfigError, match="bins"):
        quantile_bins([0.5], 0)


def test_absolute_bins_of_card_13() -> None:
    # Check 7: lower edges belong to the bin.
    found = [absolute_bin(rate) for rate in (0, 0.05, 0.1, 0.3, 0.5, 0.9)]
    assert found == ["hard", "hard", "medium", "medium", "easy", "easy"]
