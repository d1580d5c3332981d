"""The distribution over graphs: gradients by differences, probabilities that add up, and the card's bandit."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest

from ponder.core.errors import BadInput
from ponder.numerics.agent_graphs import acyclic, closes_cycle, role_order, roles_hold
from ponder.numerics.graph_policy import (
    Adam,
    Draw,
    Policy,
    draw_graph,
    draw_models,
    log_prob,
    model_log_prob,
    reinforce,
)


def a_policy(count: int = 2, seed: int = 3) -> Policy:
    policy, stream = Policy(count=count), random.Random(seed)
    policy.edges = [stream.uniform(-1, 2) for _ in policy.edges]
    policy.roles = [[stream.uniform(-1, 1) for _ in range(2)] for _ in policy.roles]
    return policy


def edge_sets(policy: Policy) -> list[tuple[tuple[int, int], ...]]:
    found = []
    for bits in product([0, 1], repeat=len(policy.pairs)):
        on = [pair for pair, bit in zip(policy.pairs, bits, strict=True) if bit]
        so_far: list[tuple[int, int]] = []
        for pair in on:
            if not closes_cycle(so_far, *pair):
                so_far.append(pair)
        if len(so_far) == len(on):
            found.append(tuple(on))
    return found


def test_probabilities_of_all_draws_add_up_to_one() -> None:
    policy, whole = a_policy(), 0.0
    for edges in edge_sets(policy):
        nodes = [node for node, _ in role_order(policy.count, edges)]
        for roles in product([0, 1], repeat=len(nodes)):
            value, _, _ = log_prob(policy, Draw(edges, dict(zip(nodes, roles, strict=True))))
            whole += math.exp(value)
    assert whole == pytest.approx(1)


def test_gradient_of_edges_by_differences() -> None:
    policy = a_policy(3)
    draw = draw_graph(policy, random.Random(1), shift=0.0)
    _, gradient, _ = log_prob(policy, draw)
    for at in range(len(policy.edges)):
        values = []
        for step in (1e-6, -1e-6):
            moved = Policy(3, policy.pairs, [*policy.edges], policy.roles)
            moved.edges[at] += step
            values.append(log_prob(moved, draw)[0])
        assert gradient.edges[at] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_draws_keep_what_they_promise(seed: int) -> None:
    policy = a_policy(4, seed)
    draw = draw_graph(policy, random.Random(seed))
    assert acyclic(draw.edges) == draw.edges
    assert any(v == 4 for _, v in draw.edges)
    assert roles_hold(4, draw.edges, draw.roles)
    assert math.isfinite(log_prob(policy, draw)[0])
    assert draw == draw_graph(policy, random.Random(seed))


def test_a_sink_that_nothing_reaches_is_said() -> None:
    policy = Policy(count=1, edges=[-1e9])
    with pytest.raises(BadInput):
        draw_graph(policy, random.Random(0))


# Edge a decides, edge b does not matter, and an edge that is always there keeps every sweep from being rejected.
BANDIT = [(0, 3), (1, 3), (2, 3)]


def test_bandit_learns_the_edge_that_counts_and_leaves_the_other() -> None:
    ends = []
    for seed in range(12):
        policy, stream = Policy(count=3, pairs=BANDIT, edges=[0.0, 0.0, 50.0]), random.Random(seed)
        rate = 0.5
        for _ in range(400):
            draws = [draw_graph(policy, stream, shift=0.0) for _ in range(3)]
            _, gradient = reinforce(policy, draws, [float((0, 3) in draw.edges) for draw in draws], shift=0.0)
            policy.edges = [value - rate * slope for value, slope in zip(policy.edges, gradient.edges, strict=True)]
        ends.append(policy.edges)
    assert min(edges[0] for edges in ends) > 3
    assert abs(sum(edges[1] for edges in ends) / len(ends)) < 3 * (sum(e[1] ** 2 for e in ends) / 12 / 12) ** 0.5


def test_a_running_mean_lowers_the_variance_of_the_edge_that_does_not_matter() -> None:
    policy, stream = Policy(count=3, pairs=BANDIT, edges=[2.0, 0.0, 50.0]), random.Random(0)
    squares = {0.0: 0.0, 0.88: 0.0}
    for _ in range(600):
        draw = draw_graph(policy, stream, shift=0.0)
        for baseline in squares:
            _, gradient = reinforce(policy, [draw], [float((0, 3) in draw.edges)], baseline=baseline, shift=0.0)
            squares[baseline] += gradient.edges[1] ** 2
    assert squares[0.88] < squares[0.0] / 2


def test_models_fit_the_budget_and_have_probability_one_together() -> None:
    logits, prices = [[0.3, -0.2, 0.9], [0.0, 1.0, -1.0]], [1, 3, 9]
    stream = random.Random(4)
    for _ in range(20):
        order, chosen = draw_models(logits, prices, 5, stream)
        assert sum(prices[kind] for kind in chosen.values()) <= 5
        assert set(chosen) <= set(order)
    whole = 0.0
    for first in (0, 1):
        left = 5 - prices[first]
        for second in [kind for kind in range(3) if prices[kind] <= left]:
            value, _, _ = model_log_prob(logits, prices, 5, [0, 1], {0: first, 1: second})
            whole += math.exp(value)
    assert whole == pytest.approx(1)
    with pytest.raises(BadInput):
        model_log_prob(logits, prices, 5, [0, 1], {0: 2})


def test_no_utility_no_gradient() -> None:
    policy = a_policy()
    draws = [draw_graph(policy, random.Random(k)) for k in range(3)]
    loss, gradient = reinforce(policy, draws, [0, 0, 0])
    assert (loss, set(gradient.edges)) == (0, {0.0})
    assert Adam(len(policy.edges)).step(policy.edges, gradient.edges) == policy.edges
    with pytest.raises(BadInput):
        reinforce(policy, [], [])
