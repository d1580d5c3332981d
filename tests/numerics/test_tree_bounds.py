from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.tree_bounds import puct, softmax, uct


def test_uct_and_puct_agree_with_the_worked_numbers() -> None:
    # Card 35, check 1; PUCT with base 19652 and init 1.25 as in OpenR.
    assert uct(0.55, 20, 4, 1.4) == pytest.approx(1.761573, abs=1e-6)
    assert puct(0.55, 20, 4, 0.3) == pytest.approx(0.885697, abs=1e-6)


def test_unvisited_child_comes_first_under_uct() -> None:
    assert uct(0.0, 5, 0, 0.0) == math.inf


@given(st.floats(0, 1), st.integers(1, 1000), st.integers(1, 1000), st.floats(0, 5))
def test_uct_falls_with_visits_and_is_the_mean_without_exploration(mean: float, n: int, k: int, c: float) -> None:
    assert uct(mean, n, k + 1, c) <= uct(mean, n, k, c)
    assert uct(mean, n, k, 0.0) == mean


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20))
def test_softmax_is_a_law_that_keeps_the_order(values: list[float]) -> None:
    law = softmax(values)
    assert sum(law) == pytest.approx(1)
    order = sorted(range(len(values)), key=values.__getitem__)
    assert all(law[a] <= law[b] for a, b in pairwise(order))


def test_softmax_of_nothing_is_nothing() -> None:
    assert softmax([]) == []
