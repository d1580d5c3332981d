"""Keep the best few partial answers of each round and expand only these: beam search, alone or as many subtrees.

Source: Snell et al. 2024, arXiv:2408.03314, section 5 (card 04); the released semantics and the independent subtrees
(DVTS) of Liu et al. 2025, arXiv:2502.06703 (card 13).
Differs: finished answers stay in the pool and compete with their score (card 04 leaves it open); a value that is
missing ranks below all others; equal values keep their order. Where the branching does not divide the width, the first
survivors get one more child, so that a round keeps its width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ponder.engines.step_search import Expand, Left
from ponder.engines.tree import Node

__all__ = ["Beam", "FinalPool", "ranked"]

FinalPool = Literal["survivors", "all"]


def ranked(nodes: Sequence[Node]) -> list[Node]:
    """Return nodes by value, highest first; missing values last, equal ones in their order."""
    return sorted(nodes, key=lambda node: (node.value is None, 0.0 if node.value is None else -node.value))


@dataclass
class _Group:
    """One subtree's search: how many candidates a round has, how many survive, and who competes."""

    width: int
    keep: int
    pool: list[Node] = field(default_factory=list)
    done: list[Node] = field(default_factory=list)  # released: finished beams have left the pool


class Beam:
    """Beam search in one or more independent groups that start at the same root.

    Args:
        root: the empty answer.
        groups: for each group (candidates of a round, survivors), both >= 1.
        final_pool: "survivors": at most so many answers as survive; "all": every finished answer that was seen.
        released: finished beams leave the pool, and later rounds keep fewer (card 13, step 6).
    """

    def __init__(
        self,
        root: Node,
        groups: Sequence[tuple[int, int]],
        *,
        final_pool: FinalPool = "survivors",
        released: bool = False,
    ) -> None:
        self._root, self._final_pool, self._released = root, final_pool, released
        self._groups = [_Group(width, keep) for width, keep in groups]
        self._started = False

    def ask(self, left: Left) -> list[Expand]:
        """Prune each group to its survivors and expand those that are open."""
        if not self._started:
            self._started = True
            return [Expand(node=self._root, count=g.width, group=at) for at, g in enumerate(self._groups)]
        return [expand for at, group in enumerate(self._groups) for expand in self._next(at, group)]

    def _next(self, at: int, group: _Group) -> list[Expand]:
        kept = ranked(group.pool)[: group.keep - len(group.done)]
        group.pool = [node for node in kept if node.finished]
        if self._released:
            group.done += group.pool
            group.pool = []
        each, more = divmod(group.width, group.keep)
        return [Expand(node=node, count=each + (rank < more), group=at) for rank, node in enumerate(kept) if node.open]

    def tell(self, expand: Expand, children: Sequence[Node]) -> None:
        """Let the children compete in their group."""
        self._groups[expand.group].pool += children

    def finals(self) -> list[Node]:
        """Return the finished survivors of every group (or all finished answers), in the order of the tree."""
        found = [node for node in self._root.walk() if node.finished]
        if self._final_pool == "all":
            return found
        survivors: set[int] = set()
        for group in self._groups:
            finished = group.done + ranked([node for node in group.pool if node.finished])
            survivors |= {id(node) for node in finished[: group.keep]}
        return [node for node in found if id(node) in survivors] or found
