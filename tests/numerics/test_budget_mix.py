from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.budget_mix import Mix, cheapest_mix, frontier, richest_mix

# Eighths and whole numbers: sums are exact, so ties are ties.
VALUE = st.integers(0, 8).map(lambda i: i / 8)
GROUPS = st.integers(1, 4).flatmap(
    lambda options: st.lists(
        st.tuples(
            st.lists(VALUE, min_size=options, max_size=options),
            st.lists(st.integers(0, 9).map(float), min_size=options, max_size=options),
            st.integers(0, 3).map(float),
        ),
        min_size=1,
        max_size=4,
    )
)


def every_mix(groups: list[tuple[list[float], list[float], float]]) -> list[Mix]:
    """The brute-force twin: all combinations."""
    out = []
    for picks in itertools.product(*(range(len(values)) for values, _, _ in groups)):
        cost = sum(w * c[p] for (_, c, w), p in zip(groups, picks, strict=True))
        value = sum(w * v[p] for (v, _, w), p in zip(groups, picks, strict=True))
        out.append(Mix(cost, value, picks))
    return out


@given(GROUPS, st.integers(0, 30), st.integers(0, 30))
def test_the_frontier_holds_the_best_of_all_combinations(
    groups: list[tuple[list[float], list[float], float]], limit: int, least: int
) -> None:
    values, costs, weights = ([group[at] for group in groups] for at in range(3))
    mixes = frontier(values, costs, weights)  # type: ignore[arg-type]  # columns of the drawn groups
    every = every_mix(groups)
    affordable = [mix for mix in every if mix.cost <= limit]
    found = richest_mix(mixes, limit)
    if affordable:
        assert found.cost <= limit
        assert found.value == max(mix.value for mix in affordable)
    else:
        assert found.cost == min(mix.cost for mix in every)
    worth = [mix for mix in every if mix.value >= least / 4]
    found = cheapest_mix(mixes, least / 4)
    if worth:
        assert found.value >= least / 4
        assert found.cost == min(mix.cost for mix in worth)
    else:
        assert found.value == max(mix.value for mix in every)
    assert all(mix in every for mix in mixes)


def test_the_money_goes_where_it_buys_most() -> None:
    # Easy questions gain nothing from the dear option, hard ones much.
    mixes = frontier([[0.9, 0.9], [0.2, 0.6]], [[1, 16], [1, 16]], [0.5, 0.5])
    assert [mix.picks for mix in mixes] == [(0, 0), (0, 1)]
    assert richest_mix(mixes, 10).picks == (0, 1)
    assert richest_mix(mixes, 5).picks == (0, 0)
    assert richest_mix(mixes, None).picks == (0, 1)
    assert cheapest_mix(mixes, 0.7).picks == (0, 1)


@pytest.mark.parametrize(("values", "costs"), [([[1.0]], [[1.0, 2.0]]), ([[]], [[]]), ([[1.0]], [])])
def test_bad_shapes_are_refused(values: list[list[float]], costs: list[list[float]]) -> None:
    with pytest.raises(BadInput):
        frontier(values, costs, [1.0])
