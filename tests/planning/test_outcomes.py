from __future__ import annotations

import pytest

from ponder.core.errors import BadInput
from ponder.planning.outcomes import Outcomes
from tests.planning.tuning_world import OPTIONS, recorded


def test_a_probe_is_charged_once_where_the_samples_are_its_own() -> None:
    data = recorded(40)
    charged = data.charged(data.looks[0])
    # Greedy pays for probe and answer, sixteen samples begin with the four, a search shares nothing.
    assert charged[0].tolist() == [50.0, 160.0, 440.0]
    assert data.charged(None)[0].tolist() == [10.0, 160.0, 400.0]


def test_arrays_of_another_shape_are_refused() -> None:
    data = recorded(4)
    with pytest.raises(BadInput, match="one entry for each"):
        Outcomes(questions=("q",), families=("f",), options=OPTIONS, correct=data.correct, costs=data.costs)
