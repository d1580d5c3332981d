"""Teams that a start budget buys, and graphs of them drawn at random, to begin with or as a search of their own.

Source: Agent-REINFORCE, arXiv:2511.00086 (card 31), phase 1.
The optimiser chooses two teams; these and smaller ones are tried, and the best wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ponder.core.errors import ConfigError
from ponder.core.seeds import derive
from ponder.numerics.agent_graphs import ANSWER, AgentGraph
from ponder.numerics.graph_costs import multisets
from ponder.numerics.graph_policy import Draw, Policy, draw_graph
from ponder.training._graph_trials import Trials
from ponder.training._graph_update import models_chat, read_choices

__all__ = ["at_random", "built", "choose_team", "random_graph"]

_SHOWN = 40  # teams that the optimiser chooses from


async def choose_team(run: Trials) -> list[str]:
    """Choose the models: by the optimiser from those that cost the same, then by trying."""
    teams = multisets(run.given.start, [run.members[name].price for name in run.names])
    teams = [team for team in teams if sum(team)]
    if not teams:
        raise ConfigError("the start budget buys no model: raise it or lower the prices")
    stream = derive(run.seed, "teams")
    shown = teams if len(teams) <= _SHOWN else [teams[k] for k in sorted(stream.sample(range(len(teams)), _SHOWN))]
    chosen = shown[:2]
    if len(shown) > 2:
        chat = models_chat(shown, run.names, run.alone, insights=run.given.insights)
        asked = await run.consult(chat, partial(read_choices, count=len(shown)), "models")
        picked = asked.value or tuple(stream.sample(range(len(shown)), 2))
        chosen = [shown[at] for at in picked]
    candidates = list(dict.fromkeys(smaller for team in chosen for smaller in _variants(run, team)))
    if not run.given.pretest or len(candidates) == 1:
        return _spelled(run, candidates[0])
    scores = []
    for number, team in enumerate(candidates):
        graph = run.capped(random_graph(run, _spelled(run, team), "pretest", number, shift=0.0), "pretest", number)
        scores.append(await run.attempt(graph, run.given.pretest, "pretest", first=0))
    best = [at for at, score in enumerate(scores) if max(scores) - score < 1e-8]
    return _spelled(run, candidates[stream.choice(best)])


def _variants(run: Trials, team: Sequence[int]) -> list[tuple[int, ...]]:
    """Return a team and those with ever more of its weakest models left out."""
    found, left = [tuple(team)], list(team)
    while len(found) < run.given.variants and sum(left) > 1:
        left[next(at for at, count in enumerate(left) if count)] -= 1
        found.append(tuple(left))
    return found


def _spelled(run: Trials, team: Sequence[int]) -> list[str]:
    return [name for name, count in zip(run.names, team, strict=True) for _ in range(count)]


def random_graph(run: Trials, models: Sequence[str], *place: str | int, shift: float) -> AgentGraph:
    drawn = draw_graph(Policy(count=len(models)), derive(run.seed, "graph", *place), shift=shift)
    return built(run, models, drawn)


def built(run: Trials, models: Sequence[str], drawn: Draw) -> AgentGraph:
    roles = tuple(drawn.roles.get(node, ANSWER) for node in range(len(models)))
    return AgentGraph(models=tuple(models), roles=roles, edges=drawn.edges, sink=run.sink)


async def at_random(run: Trials) -> None:
    models = await choose_team(run)
    for turn in range(run.given.iterations):
        graph = run.capped(random_graph(run, models, "random", turn, shift=-2.0), "random", turn)
        await run.attempt(graph, run.given.batch, f"random {turn}")
