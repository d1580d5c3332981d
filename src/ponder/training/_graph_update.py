"""What an optimiser of graphs of agents is asked, and how its reply is read.

Source: Agent-REINFORCE, arXiv:2511.00086 (card 31, C and E; prompts 1 and 2). JSON in place of the released lines; a
reply with other ids, other models or other keys is refused in words, edges that close a cycle are dropped in their
order, and fusers without an answerer among their inputs become answerers.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.core.context import Context
from ponder.core.errors import BadInput, Interrupted
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.engines.asking import ask_readable, prompts
from ponder.engines.replies import json_values
from ponder.numerics.agent_graphs import ANSWER, FUSE, AgentGraph, acyclic
from ponder.numerics.graph_policy import Edge

__all__ = ["Ask", "Update", "as_nodes", "models_chat", "read_choices", "read_update", "update_chat"]

_ROLES = {"answer": ANSWER, "io": ANSWER, "assistant": ANSWER, "fuse": FUSE, "rev": FUSE, "fuser": FUSE}
_NAMES = ("answer", "fuse")


@dataclass(frozen=True)
class Update:
    """The next graph, and the probability of each candidate edge."""

    graph: AgentGraph
    table: Mapping[Edge, float]


class Ask:
    """A method of one readable call; what was read is kept on it, so one object serves one run."""

    def __init__(self, messages: Sequence[Message], read: Any, *, place: Sequence[str | int], repairs: int) -> None:
        self.messages, self.read, self.place, self.repairs = tuple(messages), read, tuple(place), repairs
        self.value: Any = None
        self.text = ""
        self.faults: tuple[str, ...] = ()
        self.ended: Interrupted | None = None

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": 1 + self.repairs}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Ask."""
        asked = await ask_readable(ctx, self.messages, self.read, path=self.place, repairs=self.repairs)
        self.value, self.text, self.faults, self.ended = asked.value, asked.text, asked.faults, asked.ended
        if asked.ended is not None:
            return ctx.result([], best=None, stopped=asked.ended.reason, detail=str(asked.ended))
        return ctx.result([], best=None, detail="; ".join(asked.faults))


def models_chat(
    teams: Sequence[Sequence[int]], names: Sequence[str], alone: Mapping[str, float], *, insights: bool
) -> list[Message]:
    """Return the chat that asks for two teams.

    Args:
        teams: counts by model.
        names: of the models.
        alone: accuracy of each by itself, where known.
        insights: whether the paper's first insight is told.
    """
    texts = prompts(__package__, "agent_reinforce")
    lines = [
        f"{number}. " + ", ".join(f"{count} x {name}" for count, name in zip(team, names, strict=True) if count)
        for number, team in enumerate(teams, 1)
    ]
    said = ", ".join(f"{name} {alone[name]:.0%}" for name in names if name in alone) or "not known"
    text = texts["models"].substitute(
        teams="\n".join(lines),
        alone=said,
        insights=f"\n{texts['model_insights'].template}\n" if insights else "",
    )
    return [Message("user", text)]


def read_choices(text: str, count: int) -> tuple[int, int]:
    """Return the positions of the two teams that a reply chooses.

    Raises:
        BadInput: it does not choose two of them.
    """
    for value in json_values(text):
        found = value.get("choices") if isinstance(value, dict) else value
        if isinstance(found, list) and len(found) == 2:
            numbers = [_whole(number) for number in found]
            if all(number is not None and 1 <= number <= count for number in numbers) and len({*numbers}) == 2:
                return (numbers[0] or 0) - 1, (numbers[1] or 0) - 1
    raise BadInput(f'it needs {{"choices": [a, b]}} with two different numbers from 1 to {count}')


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_nodes(graph: AgentGraph) -> str:
    """Return a graph as it is shown and read."""
    nodes = [
        {"id": at, "model": model, "role": _NAMES[role], "reads": reads}
        for at, (model, role, reads) in enumerate(zip(graph.models, graph.roles, graph.depends, strict=False))
    ]
    return json.dumps([*nodes, {"id": "sink", "reads": graph.depends[-1]}])


def update_chat(
    graph: AgentGraph,
    accuracy: float,
    count: int,
    table: Mapping[Edge, float],
    history: Sequence[Message],
    *,
    insights: bool,
    seconds: float | None = None,
) -> list[Message]:
    """Return the chat that asks for the next graph, behind earlier rounds.

    Args:
        graph: the last one.
        accuracy: its share of right answers.
        count: of how many questions.
        table: probability of each candidate edge.
        history: earlier rounds.
        insights: whether the paper's insights are told.
        seconds: that a question took; asks for a graph that is fast as well.
    """
    texts = prompts(__package__, "agent_reinforce")
    team = ", ".join(f"{n} x {name}" for name, n in Counter(graph.models).items())
    text = texts["update"].substitute(
        graph=as_nodes(graph),
        accuracy=f"{accuracy:.0%}",
        latency="" if seconds is None else "\n\n" + texts["latency"].substitute(seconds=f"{seconds:.2f}"),
        count=count,
        table=json.dumps({_key(pair, len(graph.models)): round(value, 3) for pair, value in table.items()}),
        team=team,
        ids=", ".join(map(str, range(len(graph.models)))),
        form=as_nodes(graph),
        insights=f"{texts['update_insights'].template}\n\n" if insights else "",
    )
    return [*history, Message("user", text)]


def read_update(text: str, graph: AgentGraph, pairs: Sequence[Edge]) -> Update:
    """Return the graph and the table of a reply.

    Args:
        text: of the reply.
        graph: the last one, whose ids and models must stay.
        pairs: candidate edges, whose keys must stay.

    Raises:
        BadInput: saying what is wrong.
    """
    body = next((v for v in json_values(text) if isinstance(v, dict) and isinstance(v.get("graph"), list)), None)
    if body is None:
        raise BadInput('it needs JSON with "graph" and "probabilities"')
    return Update(_graph(body["graph"], graph), _table(body.get("probabilities"), pairs, len(graph.models)))


def _graph(nodes: list[Any], last: AgentGraph) -> AgentGraph:
    count = len(last.models)
    known: dict[str, Mapping[str, Any]] = {}
    for node in nodes:
        if not isinstance(node, dict) or "id" not in node or str(node["id"]) in known:
            raise BadInput("each node of the graph needs an id of its own")
        known[str(node["id"])] = node
    wanted = [*map(str, range(count)), "sink"]
    if set(known) != set(wanted):
        raise BadInput(f"the graph must have exactly the ids {', '.join(wanted)}")
    models = tuple(str(known[name].get("model")) for name in wanted[:-1])
    if Counter(models) != Counter(last.models):
        raise BadInput(f"the graph must hold exactly the models {', '.join(sorted(last.models))}")
    roles = [_ROLES.get(str(known[name].get("role", "answer")).lower()) for name in wanted[:-1]]
    if None in roles:
        raise BadInput('the role of a node is "answer" or "fuse"')
    edges: list[Edge] = []
    for target, name in enumerate(wanted):
        reads = known[name].get("reads", [])
        if not isinstance(reads, list) or any(str(source) not in wanted[:-1] for source in reads):
            raise BadInput(f"node {name} must read a list of ids of other nodes")
        edges += [(int(source), target) for source in reads if str(source) != name]
    built = AgentGraph(models=models, roles=tuple(role or 0 for role in roles), edges=acyclic(edges), sink=last.sink)
    built.trimmed()  # it must lead to the sink
    return built


def _table(found: Any, pairs: Sequence[Edge], count: int) -> dict[Edge, float]:
    keys = {_key(pair, count): pair for pair in pairs}
    if not isinstance(found, dict) or found.keys() != keys.keys():
        raise BadInput('"probabilities" must have exactly the keys of the table')
    values = {}
    for key, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadInput(f"the probability of {key} is no number")
        if not 0 <= value <= 1:
            raise BadInput(f"the probability of {key} is not between 0 and 1")
        values[keys[key]] = float(value)
    return values


def _key(pair: Edge, count: int) -> str:
    source, target = pair
    return f"{source}>{'sink' if target == count else target}"
