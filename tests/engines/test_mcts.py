from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from ponder.engines.mcts import Bound, Mcts
from ponder.engines.step_search import Expand
from ponder.engines.tree import Node
from tests.engines.step_worlds import bare_root, drive


def goal_world(goal: tuple[int, ...], actions: int = 3) -> Callable[[Node, int], Node]:
    """Children are the actions in turn; the value is the chance of the goal under uniform play."""

    def grow(parent: Node, draw: int) -> Node:
        place = (*parent.id, draw)
        value = float(actions) ** -(len(goal) - len(place)) if goal[: len(place)] == place else 0.0
        end: Any = "stop" if len(place) == len(goal) else "boundary"
        return Node(id=place, parent=parent, config=parent.config, step="x", end=end, value=value)

    return grow


def uneven(seed: int) -> Callable[[Node, int], Node]:
    rng = random.Random(seed)

    def grow(parent: Node, draw: int) -> Node:
        end: Any = "stop" if parent.depth == 4 or rng.random() < 0.1 else "boundary"
        value = None if rng.random() < 0.1 else rng.random()
        return Node(id=(*parent.id, draw), parent=parent, config=parent.config, step="x", end=end, value=value)

    return grow


@pytest.mark.parametrize("goal", [*product(range(3), repeat=3)])
def test_goal_of_an_exhaustive_tree_is_found_in_five_simulations(goal: tuple[int, ...]) -> None:
    # Card 35, check 4 (it allows 12).
    search = Mcts(bare_root(), simulations=5, branch=3)
    drive(search, goal_world(goal))
    assert search.simulations == 5
    assert goal in [node.id for node in search.finals() if node.value == 1]


@pytest.mark.parametrize("bound", ["uct", "puct"])
@pytest.mark.parametrize("seed", range(5))
def test_visits_add_up_and_means_stay_between_the_values(bound: Bound, seed: int) -> None:
    # Card 35, check 3.
    root = bare_root()
    search = Mcts(root, simulations=60, branch=3, bound=bound)
    drive(search, uneven(seed))
    assert root.visits == 60
    values = [node.value for node in root.walk() if node.value is not None]
    for node in root.walk():
        if node.children:
            assert sum(child.visits for child in node.children) == node.visits - 1
        if node.known:
            assert min(values) <= node.mean <= max(values)
        assert node.known <= node.visits
    priors = [child.prior for child in root.children if child.prior is not None]
    assert sum(priors) == pytest.approx(1)


def test_one_branch_is_one_chain_and_one_simulation_one_expansion() -> None:
    root = bare_root()
    drive(Mcts(root, simulations=3, branch=1), goal_world((0, 0, 0)))
    assert [node.id for node in root.walk()] == [(), (0,), (0, 0), (0, 0, 0)]
    root = bare_root()
    search = Mcts(root, simulations=1, branch=3)
    (expand,) = search.ask(lambda unit: 1.0)
    assert (expand.node, expand.count) == (root, 3)


def test_without_exploration_an_exact_verifier_is_followed_best_first() -> None:
    root = bare_root()
    drive(Mcts(root, simulations=5, branch=3, c=0.0), goal_world((2, 1, 0)))
    expanded = {node.id for node in root.walk() if node.children}
    assert (2, 1) in expanded


def test_finished_answer_is_visited_again_without_an_expansion() -> None:
    root = bare_root()
    search = Mcts(root, simulations=10, branch=2, c=0.0)
    drive(search, goal_world((1,), actions=2))
    assert root.visits == 10
    assert [child.visits for child in root.children][1] == 8
    assert root.drawn == 2


def test_search_stops_once_enough_is_finished() -> None:
    search = Mcts(bare_root(), simulations=100, branch=3, enough=1)
    drive(search, goal_world((0, 0, 0)))
    assert search.simulations == 5


def test_dead_ends_are_not_visited_again_and_kill_their_parents() -> None:
    root = bare_root()
    search = Mcts(root, simulations=50, branch=2)

    def inf(unit: Any) -> float:
        return float("inf")

    def tell(expand: Expand, count: int) -> None:
        made = [
            Node(id=(*expand.node.id, k), parent=expand.node, config=root.config, step="x", value=0.5)
            for k in range(count)
        ]
        expand.node.children += made
        expand.node.dead = not made
        search.tell(expand, made)

    tell(search.ask(inf)[0], 2)
    tell(search.ask(inf)[0], 0)
    assert [child.dead for child in root.children] == [True, False]
    tell(search.ask(inf)[0], 0)
    assert root.dead
    assert search.ask(inf) == []
    assert root.visits == 3


def test_without_a_finished_answer_the_best_leaf_is_continued_greedily() -> None:
    root = bare_root()
    search = Mcts(root, simulations=1, branch=3)
    drive(search, goal_world((1, 0, 0)))
    assert [node.id for node in search.finals()] == [(1, 0, 0)]
    assert root.visits == 1
    assert search.finals()[0].config.sampling.temperature == 0


def test_drafts_lead_to_one_child_each_under_their_own_configuration() -> None:
    root = bare_root()
    greedy = root.config.greedy()
    seen: list[str] = []

    def draft(node: Node, step: str) -> Any:
        seen.append(step)
        return greedy

    search = Mcts(root, simulations=1, branch=2, draft=draft)
    (first,) = search.ask(lambda unit: 1.0)
    assert first.kind == "draft"
    search.tell(first, [Node(config=root.config, step=text) for text in ("try a", "try b")])
    assert seen == ["try a", "try b"]
    batch = search.ask(lambda unit: 1.0)
    assert [(expand.count, expand.config, expand.kind) for expand in batch] == [(1, greedy, "step")] * 2
    for k, expand in enumerate(batch):
        child = Node(id=(k,), parent=root, config=greedy, step="x", end="stop", value=0.25 * (k + 1))
        root.children.append(child)
        search.tell(expand, [child])
    assert (root.visits, root.mean) == (1, 0.5)


@pytest.mark.parametrize(("weight", "rolled", "mean"), [(0.25, 0.9, 0.6), (1.0, 0.9, 0.9), (0.5, None, 0.5)])
def test_rolled_out_value_of_the_best_child_is_mixed_in(weight: float, rolled: float | None, mean: float) -> None:
    root = bare_root()
    search = Mcts(root, simulations=1, branch=2, weight=weight)
    (expand,) = search.ask(lambda unit: 1.0)
    root.children += [Node(id=(k,), parent=root, config=root.config, step="x", value=0.25 * (k + 1)) for k in range(2)]
    search.tell(expand, root.children)
    assert root.visits == 0
    (roll,) = search.ask(lambda unit: 1.0)
    assert (roll.kind, roll.node.id) == ("rollout", (1,))
    search.tell(roll, [Node(id=(1, 0), parent=roll.node, config=root.config, step="y", value=rolled)])
    assert root.visits == 1
    assert root.mean == pytest.approx(mean)


def test_finished_best_child_needs_no_rollout() -> None:
    root = bare_root()
    search = Mcts(root, simulations=1, branch=1, weight=0.5)
    (expand,) = search.ask(lambda unit: 1.0)
    root.children.append(Node(id=(0,), parent=root, config=root.config, step="x", end="stop", value=0.75))
    search.tell(expand, root.children)
    assert (root.visits, root.mean) == (1, 0.75)
    assert search.ask(lambda unit: 1.0) == []
