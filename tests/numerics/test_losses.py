from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.losses import soft_cross_entropy

SHARE = st.floats(0, 1)


def test_loss_of_card_04() -> None:
    # Check 6.
    assert soft_cross_entropy(0.25, 0.3) == pytest.approx(0.568499, abs=1e-6)


@given(SHARE, SHARE)
def test_loss_is_least_where_the_prediction_is_the_label(label: float, predicted: float) -> None:
    assert soft_cross_entropy(label, predicted) >= soft_cross_entropy(label, label) - 1e-12 >= -1e-12


def test_loss_at_the_ends() -> None:
    assert soft_cross_entropy(1, 1) == soft_cross_entropy(0, 0) == 0
    assert soft_cross_entropy(1, 0) == soft_cross_entropy(0.5, 1) == math.inf


@pytest.mark.parametrize(("label", "predicted"), [(1.1, 0.5), (0.5, -0.1), (math.nan, 0.5)])
def test_what_is_no_probability_is_refused(label: float, predicted: float) -> None:
    with pytest.raises(BadInput):
        soft_cross_entropy(label, predicted)
