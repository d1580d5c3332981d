"""Monte-Carlo tree search over steps: go down to a leaf by an upper confidence bound, expand it, back its value up.

Source: card 35 (R2-LLMs, arXiv:2507.05557, reconstructed): value of an expansion = that of its best child, or a mix of
it with the value at the end of a greedy roll-out of that child; unvisited children first, by value. UCT and PUCT as in
`numerics.tree_bounds`.
Differs: a value that is missing adds a visit and changes no mean; a dead end is backed up with its own value, and
neither it nor a node with only dead children is gone down to again. Where no answer was finished when the simulations
are over, the best leaf is continued greedily.
Where values are all near 1 the bounds explore little: raise c.
Cost: one expansion (`branch` steps) a simulation, none where it ends at a finished answer; with `weight` a roll-out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from ponder.engines.beam import ranked
from ponder.engines.step_search import Expand, Left
from ponder.engines.tree import Config, Node
from ponder.numerics.tree_bounds import puct, softmax, uct

__all__ = ["Bound", "Draft", "Hint", "Mcts"]

Bound = Literal["uct", "puct"]
# How to expand a node (card 35: with steps retrieved for it).
Hint = Callable[[Node], Config]
# Given a node and the text of a tentative next step: how to sample the real one.
Draft = Callable[[Node, str], Config]


class Mcts:
    """One tree search.

    Args:
        root: the empty answer.
        simulations: S >= 1.
        branch: b >= 1, steps sampled by an expansion.
        bound: "uct" or "puct".
        c: exploration constant of the bound, >= 0.
        enough: stop once so many answers are finished; 0 for never.
        hint: how to expand a node.
        draft: if given, an expansion first samples tentative steps, and each leads to one child of its own.
        weight: lambda in [0, 1], share of the roll-out in the value of an expansion; 0 makes none.
    """

    def __init__(
        self,
        root: Node,
        *,
        simulations: int,
        branch: int,
        bound: Bound = "uct",
        c: float = 1.4,
        enough: int = 0,
        hint: Hint | None = None,
        draft: Draft | None = None,
        weight: float = 0.0,
    ) -> None:
        self.root, self._branch, self._bound, self._c = root, branch, bound, c
        self._left, self._enough = simulations, enough
        self._hint, self._draft, self._weight = hint, draft, weight
        self._finals: list[Node] = []
        self._queue: list[Expand] = []  # the real steps that drafts led to, or the roll-out of a simulation
        self._open = 0  # expansions of the running simulation that were not told yet
        self._grown: list[Node] = []
        self._last: Node | None = None  # where a greedy continuation stands

    @property
    def simulations(self) -> int:
        """Simulations made."""
        return self.root.visits

    def ask(self, left: Left) -> list[Expand]:
        """Simulate up to the next expansion; finished answers on the way are visited and backed up."""
        if self._queue:
            batch, self._queue = self._queue, []
            return batch
        while self._left and not self.root.dead and not (self._enough and len(self._finals) >= self._enough):
            self._left -= 1
            node = self._select()
            if node.open:
                return self._expand(node)
            self._back_up(node, node.value)
        return self._finish_greedily()

    def tell(self, expand: Expand, children: Sequence[Node]) -> None:
        """Value the children and back the best one up."""
        node = expand.node
        if expand.kind == "rollout":
            assert node.parent is not None
            self._back_up(node.parent, self._mixed(node.value, children[0].value))
            return
        if expand.kind == "draft":
            assert self._draft is not None
            self._queue = [Expand(node=node, count=1, config=self._draft(node, child.step)) for child in children]
            self._open = len(self._queue)
            if not self._queue:
                self._close(node)
            return
        self._finals += [child for child in children if child.finished]
        if not self._open:
            self._last = children[0] if children else None  # a greedy continuation: no simulation
            return
        self._grown += children
        self._open -= 1
        if not self._open:
            self._close(node)

    def finals(self) -> list[Node]:
        """Return the finished answers in the order of the tree."""
        return sorted(self._finals, key=lambda node: node.id)

    def _select(self) -> Node:
        """Go down from the root to a node that is not expanded yet, or that ends an answer."""
        node = self.root
        while node.children and (alive := [child for child in node.children if not child.dead]):
            parent = node
            node = max(alive, key=lambda child: self._rank(parent, child))
        return node

    def _rank(self, parent: Node, child: Node) -> tuple[float, float]:
        mean = child.mean if child.known else parent.mean  # nothing known of it: as good as its surroundings
        if self._bound == "uct":
            bound = uct(mean, parent.visits, child.visits, self._c)
        else:
            bound = puct(mean, parent.visits, child.visits, child.prior or 0.0, self._c)
        return bound, -1.0 if child.value is None else child.value

    def _expand(self, node: Node) -> list[Expand]:
        self._grown = []
        self._open = 1
        if self._draft is not None:
            return [Expand(node=node, count=self._branch, config=self.root.config, kind="draft")]
        config = None if self._hint is None else self._hint(node)
        return [Expand(node=node, count=self._branch, config=config)]

    def _close(self, node: Node) -> None:
        """End the simulation that expanded `node`, unless its best child is to be rolled out first."""
        self._open = 0
        known = [child for child in self._grown if child.value is not None]
        values = [child.value for child in known if child.value is not None]
        for child, prior in zip(known, softmax(values), strict=True):
            child.prior = prior
        if not self._grown:
            node.dead = True
        if self._weight and self._grown and (best := ranked(self._grown)[0]).open:
            self._queue = [Expand(node=best, count=1, kind="rollout")]
            return
        self._back_up(node, max(values, default=node.value))
        while node.dead and node.parent is not None and all(child.dead for child in node.parent.children):
            node = node.parent
            node.dead = True

    def _mixed(self, value: float | None, rolled: float | None) -> float | None:
        """Return the value of an expansion; where one side is missing, the other one."""
        if value is None or rolled is None:
            return rolled if value is None else value
        return (1 - self._weight) * value + self._weight * rolled

    @staticmethod
    def _back_up(leaf: Node, value: float | None) -> None:
        node: Node | None = leaf
        while node is not None:
            node.visits += 1
            if value is not None:
                node.known += 1
                node.mean += (value - node.mean) / node.known
            node = node.parent

    def _finish_greedily(self) -> list[Expand]:
        """Continue the best leaf, where nothing is finished."""
        if self._finals:
            return []
        if self._last is None:
            leaves = [node for node in self.root.walk() if node.open and node.step and not node.children]
            if not leaves:
                return []
            self._last = ranked(leaves)[0]
        return [Expand(node=self._last, count=1, config=self.root.config.greedy())]
