"""Costs of graphs: the card's numbers, both forms, sets of models by brute force."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.graph_costs import (
    Lengths,
    Size,
    complete_cost,
    graph_costs,
    multisets,
    node_coefficients,
    node_cost,
)

SIZES = [Size(1e9, 16, 2048), Size(3e9, 28, 3072), Size(8e9, 32, 4096), Size(70e9, 80, 8192)]
MATH = Lengths(202, 275)
UNIT = node_cost(SIZES[0], 0, MATH)


def test_coefficients_and_units_as_in_the_card() -> None:
    assert node_coefficients(SIZES[0], MATH) == pytest.approx((4.956160e9, 5.672114e11, 9.689426e11), rel=1e-6)
    assert node_cost(SIZES[0], 3, MATH) == pytest.approx(2.715182e12, rel=1e-6)
    units = [[node_cost(size, d, MATH) / UNIT for size in SIZES] for d in (0, 3)]
    assert units[0] == pytest.approx([1.0, 2.994, 7.938, 69.229], abs=5e-4)
    assert units[1] == pytest.approx([2.802, 8.364, 21.959, 190.418], abs=5e-4)


@given(st.integers(0, 20), st.sampled_from(SIZES), st.floats(1, 1e3), st.floats(1, 1e3))
def test_both_forms_agree(inputs: int, size: Size, prompt: float, answer: float) -> None:
    alpha, beta, gamma = node_coefficients(size, Lengths(prompt, answer))
    polynomial = alpha * inputs**2 + beta * inputs + gamma
    assert node_cost(size, inputs, Lengths(prompt, answer)) == pytest.approx(polynomial, rel=1e-9)


def test_the_worked_graph() -> None:
    costs = graph_costs([(0, 2), (1, 2), (2, 3)], [SIZES[0], SIZES[0], SIZES[1], SIZES[1]], MATH)
    assert [cost / UNIT for cost in costs] == pytest.approx([1.0, 1.0, 6.547, 4.757], abs=5e-4)


@pytest.mark.parametrize(("b", "cap"), [(4, 17.79), (8, 42.96), (9, 50.95), (12, 79.15)])
def test_caps_as_in_the_card(b: int, cap: float) -> None:
    assert complete_cost(b, SIZES[0], SIZES[1], MATH) / UNIT == pytest.approx(cap, abs=5e-3)


@given(st.integers(0, 14), st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_sets_of_models_by_brute_force(budget: int, prices: list[int]) -> None:
    spent = {
        counts: sum(c * p for c, p in zip(counts, prices, strict=True))
        for counts in product(*(range(budget // price + 1) for price in prices))
    }
    most = max(value for value in spent.values() if value <= budget)
    wanted = {counts for counts, value in spent.items() if value == most}
    found = multisets(budget, prices)
    assert set(found) == wanted
    assert len(found) == len(wanted)


def test_out_of_range() -> None:
    for wrong in (lambda: node_cost(SIZES[0], -1, MATH), lambda: complete_cost(0, SIZES[0], SIZES[1], MATH)):
        with pytest.raises(BadInput):
            wrong()
    with pytest.raises(BadInput):
        graph_costs([(0, 5)], SIZES, MATH)
    with pytest.raises(BadInput):
        multisets(3, [0])
