"""Dependency graphs over 0-based nodes: order, ancestors, layers, depth.

Source: textbook algorithms; depth as the longest path (our choice) and as the shortest-path rule of the released code
of Atom of Thoughts, arXiv:2502.12018 (card 62).
A graph is a list that holds for each node the nodes that it depends on.
Cost: linear in nodes and edges, but for the released depth, which is cubic in the nodes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush

from ponder.core.errors import BadInput

__all__ = ["Depends", "ancestors", "closure", "depth", "independent", "levels", "order", "released_depth"]

Depends = Sequence[Collection[int]]
# What the released rule says where it cannot compute (a missing node, an index that is no number).
_RELEASED_SENTINEL = 3


def order(depends: Depends) -> list[int] | None:
    """Return the nodes with every node after those it depends on; among the ready ones the smallest first.

    Returns:
        None where there is a cycle (a node that depends on itself is one).

    Raises:
        BadInput: a dependency that is no node.
    """
    followers: list[list[int]] = [[] for _ in depends]
    waiting = [0] * len(depends)
    for node, needed in enumerate(depends):
        for earlier in set(needed):
            if not 0 <= earlier < len(depends):
                raise BadInput(f"node {node} depends on {earlier}, and there are {len(depends)} nodes")
            followers[earlier].append(node)
            waiting[node] += 1
    ready = [node for node, count in enumerate(waiting) if count == 0]
    heapify(ready)
    out = []
    while ready:
        node = heappop(ready)
        out.append(node)
        for later in followers[node]:
            waiting[later] -= 1
            if waiting[later] == 0:
                heappush(ready, later)
    return out if len(out) == len(depends) else None


def levels(depends: Depends) -> list[int]:
    """Return for each node the number of edges on the longest path to it (0: depends on nothing).

    Raises:
        BadInput: a cycle, or a dependency that is no node.
    """
    found = order(depends)
    if found is None:
        raise BadInput("the graph has a cycle")
    out = [0] * len(depends)
    for node in found:
        out[node] = max((out[earlier] + 1 for earlier in depends[node]), default=0)
    return out


def depth(depends: Depends) -> int:
    """Return the number of edges on the longest path; 0 without edges or nodes.

    Raises:
        BadInput: a cycle, or a dependency that is no node.
    """
    return max(levels(depends), default=0)


def independent(depends: Depends) -> list[int]:
    """Return the nodes that depend on nothing."""
    return [node for node, needed in enumerate(depends) if not needed]


def ancestors(depends: Depends, node: int) -> list[int]:
    """Return all nodes that `node` depends on, directly or not, sorted; `node` itself only where it is on a cycle."""
    seen: set[int] = set()
    open_ = list(depends[node])
    while open_:
        earlier = open_.pop()
        if earlier not in seen:
            seen.add(earlier)
            open_.extend(depends[earlier])
    return sorted(seen)


def closure(depends: Depends) -> list[list[int]]:
    """Return the ancestors of every node, each list sorted.

    Raises:
        BadInput: a cycle, or a dependency that is no node.
    """
    found = order(depends)
    if found is None:
        raise BadInput("the graph has a cycle")
    masks = [0] * len(depends)
    for node in found:
        for earlier in depends[node]:
            masks[node] |= masks[earlier] | 1 << earlier
    return [[k for k, bit in enumerate(reversed(f"{mask:b}")) if bit == "1"] for mask in masks]


def released_depth(depends: Sequence[Collection[object]]) -> int:
    """Return the depth of the released code of card 62: the largest finite shortest-path length.

    An edge goes from a dependency to its node. The transitive edge 0 -> 2 beside 0 -> 1 -> 2 makes it 1 instead of 2. A
    cycle still has a depth (a node on its own edge: 1); a dependency that is no node makes it 3.
    """
    steps: list[list[int]] = [[] for _ in depends]
    own_edge = False
    for node, needed in enumerate(depends):
        for earlier in needed:
            if not isinstance(earlier, int) or not -len(depends) <= earlier < len(depends):
                return _RELEASED_SENTINEL
            own_edge |= earlier == node
            steps[earlier].append(node)
    longest = int(own_edge)
    for start in range(len(depends)):
        distance = {start: 0}
        front = [start]
        while front:
            following = []
            for node in front:
                for later in steps[node]:
                    if later not in distance:
                        distance[later] = distance[node] + 1
                        following.append(later)
            front = following
        longest = max(longest, *distance.values())
    return longest
