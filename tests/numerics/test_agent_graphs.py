"""Graphs of agents: what is refused, trimming, repair, JSON; invariants over random graphs."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.agent_graphs import (
    ANSWER,
    FUSE,
    AgentGraph,
    acyclic,
    cap_graph,
    closes_cycle,
    pairs_of,
    roles_hold,
    useful,
)

GRAPH = AgentGraph(models=("a", "b", "a"), roles=(0, 1, 0), edges=((0, 1), (1, 3)), sink="b")


def test_json_round_trip() -> None:
    assert AgentGraph.from_json(json.loads(json.dumps(GRAPH.to_json()))) == GRAPH


@pytest.mark.parametrize(
    "wrong",
    [
        {"roles": (0,)},
        {"roles": (0, 2, 0)},
        {"models": ("a", "", "a")},
        {"sink": ""},
        {"edges": ((0, 1), (0, 1))},
        {"edges": ((0, 0),)},
        {"edges": ((3, 0),)},
        {"edges": ((0, 4),)},
        {"edges": ((0, 1), (1, 0))},
    ],
)
def test_what_is_no_graph_is_refused(wrong: dict[str, Any]) -> None:
    given = {"models": GRAPH.models, "roles": GRAPH.roles, "edges": GRAPH.edges, "sink": GRAPH.sink, **wrong}
    with pytest.raises(BadInput):
        AgentGraph(**given)


@pytest.mark.parametrize(
    "body", [{}, {"v": 2}, {"v": 1, "nodes": 3, "sink": {}}, {"v": 1, "nodes": [], "sink": None}, []]
)
def test_bad_json_is_refused(body: Any) -> None:
    with pytest.raises(BadInput):
        AgentGraph.from_json(body)


def test_trimming_drops_what_the_sink_does_not_hear_of() -> None:
    trimmed = GRAPH.trimmed()
    assert (trimmed.models, trimmed.edges) == (("a", "b"), ((0, 1), (1, 2)))
    with pytest.raises(BadInput):
        AgentGraph(models=("a",), roles=(0,), edges=(), sink="a").trimmed()


def random_graph(stream: random.Random, count: int) -> AgentGraph:
    pairs = pairs_of(count)
    stream.shuffle(pairs)
    edges = acyclic([pair for pair in pairs if stream.random() < 0.4])
    if not any(v == count for _, v in edges):
        edges = (*edges, (stream.randrange(count), count))
    roles = tuple(stream.randint(0, 1) for _ in range(count))
    return AgentGraph(models=tuple(stream.choice("ab") for _ in range(count)), roles=roles, edges=edges, sink="b")


@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 12))
def test_invariants_after_trim_and_repair(seed: int, count: int, cap: int) -> None:
    stream = random.Random(seed)
    graph = random_graph(stream, count).trimmed()
    size = len(graph.models)
    assert useful(size, graph.edges) == set(range(size + 1))
    assert roles_hold(size, graph.edges, dict(enumerate(graph.roles)))
    repaired, deleted = cap_graph(graph, lambda g: len(g.models) + len(g.edges), cap, "ab".index, stream)
    assert len(repaired.models) + deleted == size
    assert len(repaired.models) + len(repaired.edges) <= cap or len(repaired.models) == 1
    assert any(v == len(repaired.models) for _, v in repaired.edges)
    if deleted and deleted <= graph.models.count("a"):
        assert repaired.models.count("b") == graph.models.count("b"), "small ones go first"


def test_a_fuser_with_nothing_to_fuse_answers() -> None:
    graph = AgentGraph(models=("a", "a"), roles=(FUSE, FUSE), edges=((0, 1), (1, 2)), sink="a").trimmed()
    assert graph.roles == (ANSWER, FUSE)


def test_cycles_are_seen_and_dropped_in_order() -> None:
    assert closes_cycle([(0, 1), (1, 2)], 2, 0)
    assert not closes_cycle([(0, 1), (1, 2)], 0, 2)
    assert acyclic([(0, 1), (1, 2), (2, 0), (0, 1), (2, 3)]) == ((0, 1), (1, 2), (2, 3))
    assert len(pairs_of(4)) == 16
