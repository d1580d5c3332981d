"""Agent graph (card 31): one call a node, what a node sees, limit cases, files that are no graph."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ponder import Request, Result, ScriptedModel, Task, solve
from ponder.core.errors import BadInput, ConfigError, ProviderError
from ponder.numerics.agent_graphs import ANSWER, FUSE
from ponder.numerics.agent_graphs import AgentGraph as Graph
from ponder.strategies.agent_graph import AgentGraph, read_graph
from tests.strategies.bad_outputs import recorded

TASK = Task.of("2+3?", answer="number")


class Team:
    """Models that say who they are and how often they were asked."""

    def __init__(self, *names: str, fails: tuple[str, ...] = ()) -> None:
        self.seen: dict[str, list[Request]] = {name: [] for name in names}
        self.models = {name: ScriptedModel(replies=self.says(name, name in fails), name=name) for name in names}

    def says(self, name: str, fails: bool) -> Any:
        def reply(request: Request, number: int) -> str | ProviderError:
            self.seen[name].append(request)
            return ProviderError("no") if fails else f"<{name}-{number}> 5"

        return reply

    async def run(self, graph: Graph | str, **options: Any) -> Result:
        spec = graph if isinstance(graph, str) else json.dumps(graph.to_json())
        first = next(iter(self.models.values()))
        return await solve(TASK, model=first, roles=self.models, method="agent_graph", graph=spec, **options)

    def shown(self, name: str, number: int) -> list[str]:
        return re.findall(r"<(\w+-\d+)>", self.seen[name][number].messages[-1].text)


def graph(models: str, roles: tuple[int, ...], edges: tuple[tuple[int, int], ...], sink: str = "big") -> Graph:
    return Graph(models=tuple(models.split()), roles=roles, edges=edges, sink=sink)


async def test_each_node_is_one_call_and_sees_its_direct_inputs_alone() -> None:
    team = Team("a", "b", "c", "big")
    result = await team.run(graph("a b c", (ANSWER, FUSE, ANSWER), ((0, 1), (1, 2), (2, 3))))
    assert {role: used.calls for role, used in result.usage.items()} == {"a": 1, "b": 1, "c": 1, "big": 1}
    assert team.seen["a"][0].messages == TASK.messages
    assert team.shown("b", 0) == ["a-0"]
    assert team.shown("c", 0) == ["b-0"], "not a's, which it does not read"
    assert team.shown("big", 0) == ["c-0"]
    assert "Put their best steps together" in team.seen["b"][0].messages[-1].text
    assert "Judge their answers critically" in team.seen["c"][0].messages[-1].text
    assert result.answer == "5"
    assert result.text == "<big-0> 5"


async def test_calls_are_declared() -> None:
    spec = json.dumps(graph("a a b", (0, 0, 0), ((0, 3), (1, 3), (2, 3))).to_json())
    assert AgentGraph(graph=spec).calls() == {"a": 2, "b": 1, "big": 1}
    assert AgentGraph().calls() == {"policy": 4}


async def test_a_star_draws_the_samples_that_others_draw() -> None:
    words = ["4", "5", "6", "7", "8"]
    star = await solve(TASK, model=ScriptedModel(replies=words), method="agent_graph")
    vote = await solve(TASK, model=ScriptedModel(replies=words), method="self_consistency", n=3, early_stop="none")
    assert [c.text for c in star.candidates[:3]] == [c.text for c in vote.candidates]


async def test_one_node_is_one_call_and_one_that_weighs_it() -> None:
    team = Team("a", "big")
    result = await team.run(graph("a", (0,), ((0, 1),)))
    assert result.cost.calls == 2
    assert team.shown("big", 0) == ["a-0"]


async def test_nodes_that_lead_nowhere_are_not_run() -> None:
    team = Team("a", "b", "big")
    await team.run(graph("a b", (0, 0), ((0, 1), (0, 2))))
    assert team.seen["b"] == []


async def test_a_failed_input_is_not_shown_and_without_any_the_question_stands_alone() -> None:
    team = Team("a", "b", "big", fails=("a",))
    result = await team.run(graph("a b", (0, 0), ((0, 2), (1, 2))))
    assert team.shown("big", 0) == ["b-0"]
    assert result.answer == "5"
    alone = Team("a", "big", fails=("a",))
    await alone.run(graph("a", (0,), ((0, 1),)))
    assert alone.seen["big"][0].messages == TASK.messages


async def test_without_the_sink_the_latest_of_the_nodes_stands() -> None:
    team = Team("a", "big", fails=("big",))
    result = await team.run(graph("a", (0,), ((0, 1),)))
    assert result.answer == "5"
    assert "there is no final answer" in result.detail


@pytest.mark.parametrize("bad", ["", "I'm sorry, I cannot.", "{}", "  \n"])
async def test_bad_replies_of_nodes(bad: str) -> None:
    model = ScriptedModel(replies=lambda request, number: bad if number < 3 else "5")
    result = await solve(TASK, model=model, method="agent_graph")
    assert result.answer == "5"
    assert result.cost.calls == 4


def test_graphs_are_read_from_files_texts_and_found_results(tmp_path: Path) -> None:
    made = graph("a", (0,), ((0, 1),))
    file = tmp_path / "graph.json"
    file.write_text(json.dumps({"accuracy": 1, "graph": made.to_json()}), encoding="utf-8")
    assert read_graph(str(file)) == read_graph(json.dumps(made.to_json())) == made


@pytest.mark.parametrize(
    "spec", ["nowhere.json", "{", "{}", '{"v": 1, "nodes": [], "sink": {"model": "a", "reads": []}}']
)
def test_what_is_no_graph_is_refused_before_anything_is_spent(spec: str) -> None:
    with pytest.raises(BadInput):
        read_graph(spec)
    with pytest.raises(ConfigError, match="graph"):
        AgentGraph(graph=spec)


@recorded("agent_graph")
async def test_recorded_replies_of_the_embedded_model_are_read_as_the_answers_they_give(row: dict[str, Any]) -> None:
    model = ScriptedModel(replies=[row["reply"]])
    result = await solve(Task.of(row["question"], answer="number"), model=model, method="agent_graph")
    assert (result.answer is not None) is row["usable"]
