"""Graphs of answerers and fusers with one sink: what a valid one is, its useful part, its repair, and its JSON.

Source: Agent-REINFORCE, arXiv:2511.00086 (card 31, A, B and F). Nodes count from 0; the sink is the node after the last
and has no edge out. Role 0 answers (or, with inputs, weighs them and answers), role 1 fuses its inputs.
Differs: a useful node is found by one walk back from the sink; edges that close a cycle are dropped in the order in
which they are listed; a fuser without an answerer among its inputs becomes an answerer.
Cost: linear, but for the repair to a cap, which is quadratic in the nodes. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.core.errors import BadInput
from ponder.numerics import graphs

__all__ = [
    "ANSWER",
    "FUSE",
    "AgentGraph",
    "acyclic",
    "cap_graph",
    "closes_cycle",
    "pairs_of",
    "role_order",
    "roles_hold",
    "useful",
]

ANSWER, FUSE = 0, 1
_SCHEMA = 1
_ROLES = ("answer", "fuse")

Edge = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class AgentGraph:
    """Who answers, who fuses, and who reads whom.

    Attributes:
        models: of the nodes 0..n - 1, by name; a model's name is the role that serves it.
        roles: of these nodes, `ANSWER` or `FUSE`.
        edges: (from, to); n is the sink.
        sink: name of the sink's model.
    """

    models: tuple[str, ...]
    roles: tuple[int, ...]
    edges: tuple[Edge, ...]
    sink: str

    def __post_init__(self) -> None:
        count = len(self.models)
        if len(self.roles) != count or any(role not in (ANSWER, FUSE) for role in self.roles):
            raise BadInput("a graph needs one role, 0 or 1, for each model")
        if not all([*self.models, self.sink]):
            raise BadInput("a node of the graph has no model")
        if len(set(self.edges)) != len(self.edges):
            raise BadInput("an edge of the graph is there twice")
        for source, target in self.edges:
            if not (0 <= source < count and 0 <= target <= count) or source == target:
                raise BadInput(f"the graph has no edge from {source} to {target}")
        if graphs.order(self.depends) is None:
            raise BadInput("the graph has a cycle")

    @property
    def depends(self) -> list[list[int]]:
        """For each node, the sink last, the nodes that it reads, sorted."""
        return [sorted(u for u, v in self.edges if v == node) for node in range(len(self.models) + 1)]

    def trimmed(self) -> AgentGraph:
        """Return the graph without nodes that the sink does not hear of, with fusers that have nothing to fuse changed.

        Raises:
            BadInput: the sink hears of nobody.
        """
        count = len(self.models)
        kept = sorted(useful(count, self.edges) - {count})
        if not kept:
            raise BadInput("no node of the graph leads to the sink")
        place = {old: new for new, old in enumerate([*kept, count])}
        edges = tuple((place[u], place[v]) for u, v in self.edges if u in place and v in place)
        roles = [self.roles[old] for old in kept]
        depends = [[u for u, v in edges if v == node] for node in range(len(kept))]
        for node in graphs.order(depends) or ():
            if roles[node] == FUSE and not any(roles[u] == ANSWER for u in depends[node]):
                roles[node] = ANSWER
        return AgentGraph(
            models=tuple(self.models[old] for old in kept), roles=tuple(roles), edges=edges, sink=self.sink
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object with its schema version."""
        nodes = [
            {"model": model, "role": _ROLES[role], "reads": reads}
            for model, role, reads in zip(self.models, self.roles, self.depends, strict=False)
        ]
        return {"v": _SCHEMA, "nodes": nodes, "sink": {"model": self.sink, "reads": self.depends[-1]}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AgentGraph:
        """Rebuild a graph from `to_json`.

        Raises:
            BadInput: another version, something missing or of another kind, or no valid graph.
        """
        try:
            if data["v"] != _SCHEMA:
                raise BadInput(f"graph schema {data['v']}, this ponder reads {_SCHEMA}")
            nodes, sink = list(data["nodes"]), data["sink"]
            edges = [(int(u), at) for at, node in enumerate([*nodes, sink]) for u in node["reads"]]
            return cls(
                models=tuple(str(node["model"]) for node in nodes),
                roles=tuple(_ROLES.index(node["role"]) for node in nodes),
                edges=tuple(edges),
                sink=str(sink["model"]),
            )
        except BadInput:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise BadInput(f"this is no graph of agents: {err!r}") from err


def pairs_of(count: int) -> list[Edge]:
    """Return the candidate edges among `count` nodes, then those to the sink: count^2 in all."""
    inner = [(u, v) for u in range(count) for v in range(count) if u != v]
    return inner + [(u, count) for u in range(count)]


def closes_cycle(edges: Sequence[Edge], source: int, target: int) -> bool:
    """Return whether `source` can be reached from `target`, so that an edge between them would close a cycle."""
    seen, open_ = {target}, [target]
    while open_:
        node = open_.pop()
        if node == source:
            return True
        for u, v in edges:
            if u == node and v not in seen:
                seen.add(v)
                open_.append(v)
    return False


def acyclic(edges: Sequence[Edge]) -> tuple[Edge, ...]:
    """Return the edges without doubled ones and without each that closes a cycle with those before it."""
    kept: list[Edge] = []
    for source, target in dict.fromkeys(edges):
        if not closes_cycle(kept, source, target):
            kept.append((source, target))
    return tuple(kept)


def useful(count: int, edges: Sequence[Edge]) -> set[int]:
    """Return the nodes with a path to the sink `count`, which is one of them."""
    seen, open_ = {count}, [count]
    while open_:
        node = open_.pop()
        for u, v in edges:
            if v == node and u not in seen:
                seen.add(u)
                open_.append(u)
    return seen


def role_order(count: int, edges: Sequence[Edge]) -> list[tuple[int, tuple[int, ...]]]:
    """Return the useful nodes without the sink, each after what it reads, with what it reads of them."""
    kept = useful(count, edges)
    depends = [[u for u, v in edges if v == node and u in kept] for node in range(count)]
    found = graphs.order(depends)
    if found is None:
        raise BadInput("the graph has a cycle")
    return [(node, tuple(depends[node])) for node in found if node in kept]


def roles_hold(count: int, edges: Sequence[Edge], roles: Mapping[int, int]) -> bool:
    """Return whether at least one useful node answers, and each that fuses reads one that answers."""
    found = role_order(count, edges)
    if not any(roles[node] == ANSWER for node, _ in found):
        return False
    return all(roles[node] == ANSWER or any(roles[u] == ANSWER for u in reads) for node, reads in found)


def cap_graph(
    graph: AgentGraph,
    cost: Callable[[AgentGraph], float],
    cap: float,
    rank: Callable[[str], float],
    stream: random.Random,
) -> tuple[AgentGraph, int]:
    """Delete nodes until a graph costs at most `cap`, or one node is left; say how many were deleted.

    Each time a node of the least rank goes (ties: by `stream`). Where that leaves the sink without inputs, the newest
    node without a reader is connected to it.

    Args:
        graph: to repair.
        cost: of a graph, never more for fewer nodes.
        cap: most cost.
        rank: of a model, higher is larger.
        stream: of the ties.
    """
    deleted = 0
    while cost(graph) > cap and len(graph.models) > 1:
        ranks = [rank(model) for model in graph.models]
        gone = stream.choice([at for at, value in enumerate(ranks) if value == min(ranks)])
        graph, deleted = _without(graph, gone), deleted + 1
    return graph, deleted


def _without(graph: AgentGraph, gone: int) -> AgentGraph:
    def moved(node: int) -> int:
        return node - (node > gone)

    left = len(graph.models) - 1
    edges = [(moved(u), moved(v)) for u, v in graph.edges if gone not in (u, v)]
    if not any(v == left for _, v in edges):
        edges.append((max(set(range(left)) - {u for u, _ in edges}, default=left - 1), left))
    return AgentGraph(
        models=graph.models[:gone] + graph.models[gone + 1 :],
        roles=graph.roles[:gone] + graph.roles[gone + 1 :],
        edges=tuple(edges),
        sink=graph.sink,
    )
