"""The search by Bayesian optimisation: a choice for each edge and each role, from what did well so far.

Source: Agent-REINFORCE, arXiv:2511.00086 (card 31, H), the baseline: a binary variable for each edge, a categorical one
for each role. A third of the graphs is drawn at random first (the released code leaves that to its library).
Edges that close a cycle are dropped in their order; where none leads to the sink, all nodes that nobody reads do.
"""

from __future__ import annotations

from collections.abc import Sequence

from ponder.core.seeds import derive
from ponder.numerics.agent_graphs import ANSWER, FUSE, AgentGraph, acyclic, pairs_of
from ponder.numerics.parzen import suggest
from ponder.training._graph_random import choose_team
from ponder.training._graph_trials import Trials

__all__ = ["by_bayes", "chosen_graph"]


async def by_bayes(run: Trials) -> None:
    """Try one suggestion after the other; each is judged by what the graph made of it was worth."""
    models = await choose_team(run)
    sizes = [2] * (len(pairs_of(len(models))) + len(models))
    known: list[tuple[tuple[int, ...], float]] = []
    for turn in range(run.given.iterations):
        stream = derive(run.seed, "graph", "bayes", turn)
        choices = suggest(known, sizes, stream, startup=max(1, run.given.iterations // 3))
        graph = run.capped(chosen_graph(models, choices, run.sink), "bayes", turn)
        known.append((choices, await run.attempt(graph, run.given.batch, f"bayes {turn}")))


def chosen_graph(models: Sequence[str], choices: Sequence[int], sink: str) -> AgentGraph:
    """Return the graph of a suggestion.

    Args:
        models: of the nodes.
        choices: 0 or 1 for each candidate edge in the order of `pairs_of`, then for each node whether it fuses.
        sink: name of the sink's model.
    """
    pairs = pairs_of(len(models))
    edges = acyclic([pair for pair, on in zip(pairs, choices, strict=False) if on])
    if not any(target == len(models) for _, target in edges):
        read = {source for source, _ in edges}
        edges = (*edges, *((node, len(models)) for node in range(len(models)) if node not in read))
    roles = tuple(FUSE if fuses else ANSWER for fuses in choices[len(pairs) :])
    return AgentGraph(models=tuple(models), roles=roles, edges=tuple(edges), sink=sink)
