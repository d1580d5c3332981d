"""Keeping to a range, to a length, and to an output."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.control import control, is_controllable, length_deviation


def test_control_is_the_share_within_the_range() -> None:
    assert control([900, 1000, 1500], 800, 1200) == pytest.approx(2 / 3)
    assert control([], 0, 1) is None


def test_length_deviation_is_relative_to_what_was_wanted() -> None:
    found = length_deviation([120, 80], [100, 100])
    assert found == pytest.approx((0.2, 0.2))
    assert length_deviation([], []) is None


@given(lengths=st.lists(st.floats(0, 1e4), min_size=1, max_size=8))
def test_root_mean_square_is_not_below_the_mean(lengths: list[float]) -> None:
    found = length_deviation(lengths, [100.0] * len(lengths))
    assert found is not None
    assert found.rms >= found.mean - 1e-9


def test_output_is_controllable_by_a_short_prompt_that_makes_it_likely() -> None:
    tried = [(3, 0.5), (8, 0.95)]
    assert is_controllable(tried, 8, 0.05)
    assert not is_controllable(tried, 7, 0.05)
    assert not is_controllable([], 7, 0.05)


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput):
        control([1], 2, 1)
    with pytest.raises(BadInput):
        length_deviation([1], [0])
    with pytest.raises(BadInput):
        is_controllable([(1, 1.5)], 1, 0.1)
