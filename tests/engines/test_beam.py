from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

import pytest

from ponder.engines.beam import Beam, ranked
from ponder.engines.conclude import by_rule
from ponder.engines.tree import Node
from ponder.numerics.exchange import beam_counts
from ponder.numerics.prm_rules import Rule
from tests.engines.step_worlds import FoolableWorld, bare_root, drive


def grower(
    value: Callable[[tuple[int, ...]], float | None], end: Callable[[tuple[int, ...]], Any]
) -> Callable[[Node, int], Node]:
    def grow(parent: Node, draw: int) -> Node:
        place = (*parent.id, draw)
        return Node(id=place, parent=parent, config=parent.config, step="x", end=end(place), value=value(place))

    return grow


def three_steps(place: tuple[int, ...]) -> str:
    return "stop" if len(place) == 3 else "boundary"


class Counted(Beam):
    """Notes the rounds."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.rounds: list[list[tuple[tuple[int, ...], int]]] = []

    def ask(self, left: Any) -> list[Any]:
        batch = super().ask(left)
        self.rounds.append([(expand.node.id, expand.count) for expand in batch])
        return batch


def run(groups: Sequence[tuple[int, int]], grow: Callable[[Node, int], Node], **options: Any) -> Counted:
    beam = Counted(bare_root(), groups, **options)
    drive(beam, grow)
    return beam


@pytest.mark.parametrize(("n", "branch"), [(16, 4), (10, 4), (3, 8), (7, 1), (5, 5), (1, 1)])
def test_each_round_has_n_candidates_from_the_survivors(n: int, branch: int) -> None:
    # Card 04, check 3: N=16, M=4 -> 4 survivors, 16 candidates a round; other widths as in its fixture.
    counts = beam_counts(n, branch)
    beam = run([(n, counts.survivors)], grower(lambda place: -place[-1], three_steps))
    assert [sum(count for _, count in batch) for batch in beam.rounds] == [n, n, n, 0]
    assert [len(batch) for batch in beam.rounds] == [1, counts.survivors, counts.survivors, 0]
    assert len(beam.finals()) == counts.survivors


def test_best_values_survive_with_missing_ones_last_and_ties_in_order() -> None:
    nodes = [Node(config=bare_root().config, id=(k,), value=v) for k, v in enumerate([0.1, None, 0.5, -2.0, 0.5])]
    assert [node.id[0] for node in ranked(nodes)] == [2, 4, 0, 3, 1]


def test_finished_answers_compete_in_the_pool_until_they_are_beaten() -> None:
    values = {(0,): 0.5, (1,): 0.4, (1, 0): 0.6, (1, 1): 0.7}

    def end(place: tuple[int, ...]) -> str:
        return "stop" if place == (0,) or len(place) == 2 else "boundary"

    grow = grower(lambda place: values.get(place, 0.0), end)
    assert [node.id for node in run([(4, 2)], grow).finals()] == [(1, 0), (1, 1)]
    assert [node.id for node in run([(4, 2)], grow, final_pool="all").finals()] == [(0,), (1, 0), (1, 1)]
    # Card 13, step 6: a finished beam leaves the pool, and one place is left.
    assert [node.id for node in run([(4, 2)], grow, released=True).finals()] == [(0,), (1, 1)]


def test_released_variant_expands_fewer_as_beams_finish() -> None:
    def end(place: tuple[int, ...]) -> str:
        return "stop" if place[-1] == 0 or len(place) == 3 else "boundary"

    grow = grower(lambda place: -place[-1], end)
    beam = run([(4, 2)], grow, released=True)
    assert beam.rounds == [[((), 4)], [((1,), 2)], []]
    assert [node.id for node in beam.finals()] == [(0,), (1, 0)]


def test_groups_do_not_compete() -> None:
    beam = run([(2, 1), (2, 1)], grower(lambda place: -place[0], three_steps))
    assert [node.id[0] for node in beam.finals()] == [0, 2]


def test_dead_end_leaves_the_other_survivors() -> None:
    beam = Beam(bare_root(), [(2, 2)])
    left = float
    (first,) = beam.ask(left)
    children = [Node(id=(k,), parent=first.node, config=first.node.config, step="x", value=0.5) for k in range(2)]
    first.node.children += children
    beam.tell(first, children)
    dead, alive = beam.ask(left)
    beam.tell(dead, [])
    end = Node(id=(1, 0), parent=alive.node, config=first.node.config, step="x", end="stop", value=0.1)
    alive.node.children.append(end)
    beam.tell(alive, [end])
    assert beam.ask(left) == []
    assert beam.finals() == [end]


# -- synthetic worlds --------------------------------------------------------------------------------------------------


def accuracy(n: int, branch: int, rule: Rule = "prm_last_vote", tasks: int = 120, **world: Any) -> float:
    """Share of tasks that beam search (branch 1: best-of-N) gets right in a world."""
    right = []
    for task in range(tasks):
        made = FoolableWorld(rng=random.Random(task), **world)
        beam = Beam(bare_root(), [(n, beam_counts(n, branch).survivors)])
        drive(beam, made.grow)
        finals = beam.finals()
        chosen = by_rule(rule)(finals, [made.answers[id(node)] for node in finals])
        right.append(chosen is not None and made.answers[id(finals[chosen])] == "right")
    return mean(right)


@pytest.mark.parametrize("n", [4, 16])
def test_beam_beats_best_of_n_on_medium_questions_at_small_budgets(n: int) -> None:
    # Card 04, check 8: an exact verifier with noise and rare large errors that stay with a line of thought.
    world: dict[str, Any] = {"p": 0.5, "fools": 0.01}
    assert accuracy(n, 4, **world) > accuracy(n, 1, **world) + 0.1


def test_best_of_n_beats_beam_on_easy_questions_at_large_budgets() -> None:
    world: dict[str, Any] = {"p": 0.95, "fools": 0.01, "tasks": 40}
    assert accuracy(256, 1, **world) > accuracy(256, 16, **world) + 0.1


def test_best_method_depends_on_the_verifier() -> None:
    # Card 13, check 8: noise alone leaves best-of-N ahead, an exact verifier puts beam search ahead.
    noisy: dict[str, Any] = {"p": 0.85, "noise": 0.3, "informed": 0.0}
    exact: dict[str, Any] = {"p": 0.5, "noise": 0.0}
    assert accuracy(16, 1, **noisy) > accuracy(16, 4, **noisy) + 0.1
    assert accuracy(16, 4, **exact) > accuracy(16, 1, **exact) + 0.1
