"""The textual search: an optimiser reads graph, accuracy and table of probabilities, and writes the next ones.

The alternating search does the same, but in every second turn a numeric step on the edges writes them.

Source: Agent-REINFORCE, arXiv:2511.00086 (card 31), prompt 2.
After replies that cannot be read, one numeric step on the edges stands in.
"""

from __future__ import annotations

import math
from functools import partial

from ponder.core.seeds import derive
from ponder.core.task import Message
from ponder.numerics.agent_graphs import AgentGraph
from ponder.numerics.graph_policy import Adam, Draw, Policy, draw_graph, reinforce, sigmoid
from ponder.training._graph_random import built, choose_team, random_graph
from ponder.training._graph_trials import Trials
from ponder.training._graph_update import Update, read_update, update_chat

__all__ = ["by_text"]

_LEAST, _MOST = 0.001, 0.999  # of a probability that a reply sets


async def by_text(run: Trials) -> None:
    """Let the optimiser write one graph after the other."""
    models = await choose_team(run)
    graph = run.capped(random_graph(run, models, "first", shift=-2.0), "first")
    policy = Policy(count=len(graph.models))
    table = {pair: sigmoid(logit) for pair, logit in zip(policy.pairs, policy.edges, strict=True)}
    history: list[Message] = []
    adam = Adam(len(policy.edges), rate=run.given.rate)
    for turn in range(run.given.iterations):
        accuracy = await run.attempt(graph, run.given.batch, f"text {turn}")
        if turn + 1 == run.given.iterations:
            return
        window = history[-2 * run.given.history :] if run.given.history and len(graph.models) <= 5 else []
        count = min(run.given.batch, len(run.problems))
        seconds = run.trials[-1].seconds if run.given.latency else None
        chat = update_chat(graph, accuracy, count, table, window, insights=run.given.insights, seconds=seconds)
        asked = None
        if run.given.how == "text" or turn % 2 == 0:
            asked = await run.consult(chat, partial(read_update, graph=graph, pairs=policy.pairs), "update", turn)
        if asked is None or asked.value is None:
            table = _step(run, policy, adam, graph, accuracy)
            drawn = draw_graph(policy, derive(run.seed, "graph", "fallback", turn))
            graph = built(run, graph.models, drawn)
        else:
            update: Update = asked.value
            graph, table = update.graph, dict(update.table)
            chances = [min(_MOST, max(_LEAST, table[pair])) for pair in policy.pairs]
            policy.edges = [math.log(chance / (1 - chance)) for chance in chances]
            history += [chat[-1], Message("assistant", asked.text)]
        smaller = run.capped(graph, "text", turn)
        if smaller.models != graph.models:  # other ids: a new table, and no history that names old ones
            graph, history = smaller, []
            policy = Policy(count=len(graph.models))
            adam = Adam(len(policy.edges), rate=run.given.rate)
            table = {pair: sigmoid(logit) for pair, logit in zip(policy.pairs, policy.edges, strict=True)}


def _step(run: Trials, policy: Policy, adam: Adam, graph: AgentGraph, accuracy: float) -> dict[tuple[int, int], float]:
    """Move the logits by what the last graph was worth, in place of a reply."""
    draw = Draw(graph.edges, dict(enumerate(graph.roles)))
    edges = _in_order(policy, draw)
    _, gradient = reinforce(policy, [edges], [accuracy])
    policy.edges = adam.step(policy.edges, gradient.edges)
    return {pair: sigmoid(logit) for pair, logit in zip(policy.pairs, policy.edges, strict=True)}


def _in_order(policy: Policy, draw: Draw) -> Draw:
    """Return a draw of the policy that has these edges, with the roles of a draw made so."""
    kept = set(draw.edges)
    return Draw(tuple(pair for pair in policy.pairs if pair in kept), draw.roles)
