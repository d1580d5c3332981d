"""What a Monte-Carlo tree search costs beside its calls: time a node of selection, expansion and backing up.

Prints the time a node at 50,000 nodes (limit 0.2 ms), and its ratio to the time a node at 12,500 (1 is linear; the tree
is deeper, so a little more is expected). Values are random, so that the tree is uneven, as in a search.
"""

from __future__ import annotations

import random
import statistics
import time

from ponder import Sampling
from ponder.core.task import Message
from ponder.engines.mcts import Bound, Mcts
from ponder.engines.tree import Config, Node

NODES, BRANCH, DEPTH, ROUNDS = 50_000, 4, 40, 5


def seconds(nodes: int, bound: Bound, seed: int) -> float:
    """Grow a tree of so many nodes and return the time it took, the making of the nodes included."""
    rng = random.Random(seed)
    config = Config(messages=(Message("user", "?"),), sampling=Sampling())
    root = Node(config=config)
    search = Mcts(root, simulations=nodes, branch=BRANCH, bound=bound)
    made = 0
    start = time.perf_counter()
    while made < nodes and (batch := search.ask(lambda unit: float("inf"))):
        for expand in batch:
            node = expand.node
            end = "depth" if node.depth + 1 >= DEPTH else "boundary"
            children = [
                Node(id=(*node.id, k), parent=node, config=config, step="x\n", end=end, value=rng.random())  # type: ignore[arg-type]
                for k in range(expand.count)
            ]
            node.children += children
            made += len(children)
            search.tell(expand, children)
    assert made >= nodes
    return time.perf_counter() - start


def measure() -> None:
    seconds(1000, "uct", 0)
    for bound in ("uct", "puct"):
        per_node: dict[int, list[float]] = {NODES // 4: [], NODES: []}
        for seed in range(ROUNDS):
            for nodes, times in per_node.items():
                times.append(seconds(nodes, bound, seed) / nodes * 1e3)
        small, large = (statistics.median(times) for times in per_node.values())
        print(f"{bound}: {large:.4f} ms a node at {NODES:,} nodes (limit 0.2 ms)")
        print(f"{bound}: ratio to the time a node at {NODES // 4:,}: {large / small:.2f}")


if __name__ == "__main__":
    measure()
