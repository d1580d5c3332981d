"""Card 23's numbers for savings and for models that obey an outline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.external_thought import accuracy_with_outline, decoded_tokens

chance = st.floats(0, 1)


def test_card_23_tokens() -> None:
    thinking = decoded_tokens(1.0, 300, 2000)
    assert thinking == 2300
    assert 1 - decoded_tokens(0.0, 300, 2000) / thinking == pytest.approx(0.870, abs=1e-3)
    assert decoded_tokens(0.3, 300, 2000) == pytest.approx(900)


def test_card_23_accuracies() -> None:
    assert accuracy_with_outline(1, 0.7, 0.9) == pytest.approx(0.70)
    assert accuracy_with_outline(0.3, 0.7, 0.9) == pytest.approx(0.84)
    assert accuracy_with_outline(1, 0.7, 0.9, gives_up=True) == pytest.approx(0.97)


@given(chance, chance, chance)
def test_giving_up_where_one_is_wrong_never_hurts(obeys: float, outline: float, alone: float) -> None:
    ideal = accuracy_with_outline(obeys, outline, alone, gives_up=True)
    assert ideal >= accuracy_with_outline(obeys, outline, alone) - 1e-12
    assert 0 <= ideal <= 1 + 1e-12


@pytest.mark.parametrize("values", [(-0.1, 0, 0), (0, 1.1, 0), (0, 0, 2)])
def test_out_of_range_is_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(BadInput):
        accuracy_with_outline(*values)
    with pytest.raises(BadInput):
        decoded_tokens(0.5, -1, 0)
    with pytest.raises(BadInput):
        decoded_tokens(2, 1, 0)
