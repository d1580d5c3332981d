"""The numeric search: plain REINFORCE on the logits of edges, roles and models, without a model that writes.

Source: Agent-REINFORCE, arXiv:2511.00086 (card 31), the policy gradient and its baselines.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from ponder.core.errors import ConfigError
from ponder.core.seeds import derive
from ponder.numerics.agent_graphs import ANSWER, AgentGraph, acyclic
from ponder.numerics.graph_policy import (
    Adam,
    Draw,
    Policy,
    draw_graph,
    draw_models,
    model_log_prob,
    reinforce,
    sigmoid,
)
from ponder.training._graph_trials import Trials

__all__ = ["by_numbers"]


async def by_numbers(run: Trials) -> AgentGraph:
    """Plain REINFORCE on edges, roles and models; return the graph that the logits stand for."""
    prices = [run.members[name].price for name in run.names]
    count = max(1, run.given.start // min(prices))
    policy = Policy(count=count)
    kinds = [[0.0] * len(run.names) for _ in range(count)]
    adam = [Adam(size, rate=run.given.rate) for size in (len(policy.edges), 2 * (count + 1), count * len(prices))]
    mean, seen = 0.0, 0
    for turn in range(run.given.iterations):
        drawn = []
        for k in range(run.given.batch):
            drawn.append(_draw(run, policy, kinds, prices, derive(run.seed, "numeric", turn, k)))
        utilities = []
        for k, (_, _, _, _, graph) in enumerate(drawn):
            utilities.append(await run.attempt(run.capped(graph, turn, k), 1, f"numeric {turn}"))
        baseline = mean if run.given.baseline == "mean" and seen else 0.0
        _learn(run, policy, kinds, prices, adam, drawn, utilities, baseline)
        seen += len(utilities)
        mean += sum(u - mean for u in utilities) / seen
    return _read_out(run, policy, kinds, prices)


def _draw(
    run: Trials, policy: Policy, kinds: list[list[float]], prices: Sequence[int], stream: random.Random
) -> tuple[list[int], dict[int, int], list[int], Draw, AgentGraph]:
    """Draw models, and edges and roles among the nodes that have one.

    Returns:
        Order and models of the nodes; places of the pairs among those kept; the draw; the graph of those kept.
    """
    order, chosen = draw_models(kinds, prices, run.given.start, stream)
    if not chosen:
        raise ConfigError("the start budget buys no model: raise it or lower the prices")
    places = [at for at, (u, v) in enumerate(policy.pairs) if u in chosen and (v in chosen or v == policy.count)]
    draw = draw_graph(_part(policy, places), stream)
    kept = sorted(chosen)
    new = {old: at for at, old in enumerate([*kept, policy.count])}
    graph = AgentGraph(
        models=tuple(run.names[chosen[old]] for old in kept),
        roles=tuple(draw.roles.get(old, ANSWER) for old in kept),
        edges=tuple((new[u], new[v]) for u, v in draw.edges),
        sink=run.sink,
    )
    return order, chosen, places, draw, graph


def _learn(
    run: Trials,
    policy: Policy,
    kinds: list[list[float]],
    prices: Sequence[int],
    adam: Sequence[Adam],
    drawn: Sequence[tuple[list[int], dict[int, int], list[int], Draw, AgentGraph]],
    utilities: Sequence[float],
    baseline: float,
) -> None:
    """One Adam step on the mean loss of a batch."""
    edges, roles = [0.0] * len(policy.edges), [0.0] * (2 * (policy.count + 1))
    models = [0.0] * (len(kinds) * len(prices))
    for (order, chosen, places, draw, _), utility in zip(drawn, utilities, strict=True):
        weight = 1 / len(drawn)
        _, slope = reinforce(_part(policy, places), [draw], [utility], baseline=baseline)
        for at, value in zip(places, slope.edges, strict=True):
            edges[at] += weight * value
        roles = [a + weight * b for a, b in zip(roles, [x for row in slope.roles for x in row], strict=True)]
        _, _, steep = model_log_prob(kinds, prices, run.given.start, order, chosen)
        flat = [-(utility - baseline) * x for row in steep for x in row]
        models = [a + weight * b for a, b in zip(models, flat, strict=True)]
    policy.edges = adam[0].step(policy.edges, edges)
    moved = adam[1].step([x for row in policy.roles for x in row], roles)
    policy.roles = [moved[2 * at : 2 * at + 2] for at in range(policy.count + 1)]
    flat = adam[2].step([x for row in kinds for x in row], models)
    kinds[:] = [flat[len(prices) * at : len(prices) * (at + 1)] for at in range(len(kinds))]


def _read_out(run: Trials, policy: Policy, kinds: list[list[float]], prices: Sequence[int]) -> AgentGraph:
    """Return the graph of the likely edges, with the likeliest models that fit, every node leading to the sink."""
    left, models = float(run.given.start), []
    for row in kinds:
        fitting = [kind for kind, price in enumerate(prices) if price <= left]
        if not fitting:
            break
        models.append(max(fitting, key=row.__getitem__))
        left -= prices[models[-1]]
    kept = len(models)
    edges: list[tuple[int, int]] = []
    likely = sorted(
        ((logit, pair) for pair, logit in zip(policy.pairs, policy.edges, strict=True) if pair[0] < kept),
        key=lambda found: -found[0],
    )
    for logit, (u, v) in likely:
        if sigmoid(logit) > run.given.threshold and v < kept:
            edges.append((u, v))
    edges = [*acyclic(edges), *((node, kept) for node in range(kept))]
    roles = tuple(int(row[1] > row[0]) for row in policy.roles[:kept])
    graph = AgentGraph(models=tuple(run.names[kind] for kind in models), roles=roles, edges=tuple(edges), sink=run.sink)
    return run.capped(graph, "readout")


def _part(policy: Policy, places: Sequence[int]) -> Policy:
    """Return the policy of some of the pairs."""
    return Policy(
        count=policy.count,
        pairs=[policy.pairs[at] for at in places],
        edges=[policy.edges[at] for at in places],
        roles=policy.roles,
    )
