"""Dependency graphs: order, depth and ancestors against brute force, and the released rule's oddities."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.graphs import ancestors, closure, depth, independent, levels, order, released_depth


@st.composite
def acyclic(draw: st.DrawFn) -> list[list[int]]:
    count = draw(st.integers(0, 7))
    names = draw(st.permutations(range(count)))
    rank = {name: at for at, name in enumerate(names)}
    return [[k for k in range(count) if rank[k] < rank[node] and draw(st.booleans())] for node in range(count)]


def paths(depends: list[list[int]], node: int) -> list[list[int]]:
    """All paths that end at a node."""
    return [[node], *([*path, node] for k in depends[node] for path in paths(depends, k))]


@given(acyclic())
def test_order_has_every_node_after_what_it_needs(depends: list[list[int]]) -> None:
    found = order(depends)
    assert found is not None
    assert sorted(found) == list(range(len(depends)))
    assert all(found.index(k) < found.index(node) for node, needed in enumerate(depends) for k in needed)


@given(acyclic())
def test_depth_and_ancestors_agree_with_all_paths(depends: list[list[int]]) -> None:
    every = [paths(depends, node) for node in range(len(depends))]
    assert levels(depends) == [max(len(path) - 1 for path in found) for found in every]
    assert depth(depends) == max(levels(depends), default=0)
    assert closure(depends) == [ancestors(depends, node) for node in range(len(depends))]
    for node, found in enumerate(every):
        assert ancestors(depends, node) == sorted(set(itertools.chain(*found)) - {node})
    assert independent(depends) == [node for node, level in enumerate(levels(depends)) if level == 0]
    assert released_depth(depends) <= depth(depends)


@given(acyclic(), st.data())
def test_a_cycle_has_no_order_and_no_depth(depends: list[list[int]], data: st.DataObject) -> None:
    if not depends:
        return
    start = data.draw(st.integers(0, len(depends) - 1))
    chain = data.draw(st.sampled_from(paths(depends, start)))
    depends[chain[0]] = [*depends[chain[0]], start]  # from the end of a path back to its beginning
    assert order(depends) is None
    with pytest.raises(BadInput, match="cycle"):
        depth(depends)
    with pytest.raises(BadInput, match="cycle"):
        closure(depends)


def test_ready_nodes_come_in_their_order() -> None:
    assert order([[3], [], [1], []]) == [1, 2, 3, 0]


@pytest.mark.parametrize("depends", [[[1]], [[-1]]])
def test_a_missing_node_is_refused(depends: list[list[int]]) -> None:
    with pytest.raises(BadInput, match="depends on"):
        order(depends)


def test_card_62_depths() -> None:
    assert [depth(d) for d in ([[], [0], [1]], [[], [0], [0, 1]], [[], [0], [0, 1], [0, 1, 2]])] == [2, 2, 3]
    assert [released_depth(d) for d in ([[], [0], [1]], [[], [0], [0, 1]], [[], [0], [0, 1], [0, 1, 2]])] == [2, 1, 1]
    assert (depth([[], [], [0, 1], [2]]), released_depth([[], [], [0, 1], [2]])) == (2, 2)
    assert (released_depth([[1], [0]]), released_depth([[0]]), released_depth([[], [9]])) == (1, 1, 3)
