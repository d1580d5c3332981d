"""Agent-REINFORCE (card 31): the search where one model is right, with scripted optimisers, and what it returns."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder import Control, Request, Sampling, ScriptedModel, Task, solve
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import ModelInfo
from ponder.numerics.agent_graphs import AgentGraph, pairs_of
from ponder.numerics.graph_costs import Lengths, Size
from ponder.strategies.agent_graph import read_graph
from ponder.tasks.problem import Problem
from ponder.training._graph_bayes import chosen_graph
from ponder.training._graph_update import as_nodes, read_choices, read_update
from ponder.training.agent_reinforce import AgentReinforce, Found, Member
from tests.strategies.bad_outputs import recorded, usable

SMALL, LARGE = Size(1e9, 16, 2048), Size(3e9, 28, 3072)


def problems(count: int = 6) -> list[Problem]:
    return [Problem(task=Task.of(f"{k} + {k}?", answer="number"), reference=str(2 * k)) for k in range(1, count + 1)]


def members() -> dict[str, Member]:
    """A small model that is always wrong, and a larger one that adds."""

    def adds(request: Request, number: int) -> str:
        first = request.messages[-1].text.split()[0]
        return str(2 * int(first))

    return {
        "small": Member(model=ScriptedModel(replies=["999"], name="small"), price=1, size=SMALL),
        "large": Member(model=ScriptedModel(replies=adds, name="large"), price=3, size=LARGE),
    }


class Optimiser:
    """Chooses two teams, then answers each update by a function of the last graph and the table's keys."""

    def __init__(self, write: Any = None) -> None:
        self.prompts: list[str] = []
        self.write = write or self.keep

        def reply(request: Request, number: int) -> str:
            text = request.messages[-1].text
            self.prompts.append(text)
            return '{"choices": [1, 2]}' if "plan teams" in text else self.write(text)

        self.model = ScriptedModel(replies=reply, name="optimiser")

    @staticmethod
    def keep(text: str) -> str:
        graph = json.loads(text.partition("The last graph:\n")[2].partition("\n")[0])
        table = json.loads(text.partition('as "from>to":\n')[2].partition("\n")[0])
        return json.dumps({"graph": graph, "probabilities": dict.fromkeys(table, 0.25)})


async def search(settings: dict[str, Any] | None = None, **options: Any) -> Found:
    given = {"start": 3, "iterations": 3, "batch": 2, "pretest": 1, "recheck": 2, "finalists": 2, **(settings or {})}
    return await AgentReinforce(**given).search(problems(), members(), **options)


@pytest.mark.parametrize("how", ["numeric", "random", "text", "alternate", "bayes"])
async def test_search_keeps_the_cap_and_its_result_can_be_served(how: Any, tmp_path: Any) -> None:
    found = await search({"how": how}, optimiser=Optimiser().model)
    assert found.stopped == "done"
    assert found.accuracy == 1, "the sink is the larger model, which is always right"
    assert all(trial.units <= found.cap + 1e-9 for trial in found.trials)
    assert ("optimiser" in found.usage) == (how in ("text", "alternate"))
    file = found.save(tmp_path / "graph.json")
    assert read_graph(str(file)) == found.graph
    roles = {name: member.model for name, member in members().items()}
    result = await solve(problems()[0].task, model=roles["large"], roles=roles, method="agent_graph", graph=str(file))
    assert result.answer == "2"


async def test_a_scripted_optimiser_makes_the_loop_repeatable() -> None:
    first, second = [await search(optimiser=Optimiser().model) for _ in range(2)]
    assert [t.graph for t in first.trials] == [t.graph for t in second.trials]
    assert (first.graph, first.accuracy) == (second.graph, second.accuracy)


async def test_the_optimiser_is_asked_once_an_iteration_and_sees_its_history() -> None:
    optimiser = Optimiser()
    found = await search({"iterations": 4}, optimiser=optimiser.model)
    updates = [text for text in optimiser.prompts if "You improve a team" in text]
    assert len(updates) == 3, "none after the last graph"
    assert [t.source for t in found.trials if t.source.startswith("text")] == [f"text {k}" for k in range(4)]
    assert "Raise the probability" in updates[0]
    bare = Optimiser()
    await search({"insights": False}, optimiser=bare.model)
    assert not any("Raise the probability" in text or "too many weak ones" in text for text in bare.prompts)


@pytest.mark.parametrize("how", ["text", "random", "bayes", "alternate", "numeric"])
async def test_runs_of_graphs_are_counted_exactly(how: Any) -> None:
    """Pretest: two teams, of which the larger has smaller variants; then the iterations, then the finalists."""
    found = await search({"how": how, "iterations": 4, "batch": 2, "recheck": 3}, optimiser=Optimiser().model)
    asked: dict[str, list[int]] = {}
    for trial in found.trials:
        asked.setdefault(trial.source.partition(" ")[0], []).append(trial.asked)
    teams = 0 if how == "numeric" else 4  # (3, 0), (2, 0), (1, 0) and (0, 1)
    assert asked.get("pretest", []) == [1] * teams
    named = "text" if how == "alternate" else how
    assert asked[named] == ([1] * 8 if how == "numeric" else [2] * 4)
    assert asked["recheck"] == [3] * min(2, len(asked["recheck"]))
    calls = sum(len(trial.graph.models) * trial.asked + trial.asked for trial in found.trials)
    assert sum(used.calls for role, used in found.usage.items() if role != "optimiser") == calls


async def test_the_alternating_search_asks_every_second_time() -> None:
    optimiser = Optimiser()
    found = await search({"iterations": 5, "how": "alternate"}, optimiser=optimiser.model)
    assert sum("You improve a team" in text for text in optimiser.prompts) == 2, "after graphs 0 and 2 of 0 to 4"
    assert not found.faults


@pytest.mark.parametrize("latency", [False, True])
async def test_seconds_are_measured_and_told_only_where_they_count(latency: bool) -> None:
    optimiser = Optimiser()
    found = await search({"latency": latency}, optimiser=optimiser.model)
    updates = [text for text in optimiser.prompts if "You improve a team" in text]
    assert all(("Seconds that a question took: " in text) is latency for text in updates)
    assert all(trial.seconds > 0 for trial in found.trials)
    assert found.seconds == found.to_json()["seconds"]


async def test_of_graphs_that_are_equally_right_the_fastest_wins_where_seconds_count() -> None:
    """A chain of three sleeps four times one after another; the large model alone only twice."""
    large = ScriptedModel(replies=lambda request, number: str(2 * int(request.messages[-1].text.split()[0])))
    large.latency = 0.02
    team = {"small": Member(model=large, price=1, size=SMALL), "large": Member(model=large, price=3, size=LARGE)}
    quick = AgentReinforce(
        how="random", start=3, iterations=4, batch=2, pretest=1, recheck=2, finalists=9, latency=True
    )
    found = await quick.search(problems(), team)
    rechecks = [trial for trial in found.trials if trial.source == "recheck"]
    assert found.accuracy == 1
    assert found.seconds == min(trial.seconds for trial in rechecks if trial.right == trial.asked)


async def test_a_cap_in_tokens_is_held_by_the_meter_not_guessed() -> None:
    """Models that write more than the search was told: without the meter each question would take far more."""
    wordy = ScriptedModel(replies=["word " * 40 + "2"], name="wordy")
    team = {"small": Member(model=wordy, size=SMALL), "large": Member(model=wordy, price=3, size=LARGE)}
    law = Sampling(max_tokens=50)
    held = AgentReinforce(
        how="random",
        start=3,
        iterations=3,
        batch=2,
        pretest=1,
        recheck=2,
        lengths=Lengths(2, 5),
        unit="tokens",
        cap=60.0,
    )
    found = await held.search(problems(), team, sampling=law)
    assert all(trial.units <= 60 for trial in found.trials), "by the estimate"
    assert all(0 < trial.tokens <= 60 for trial in found.trials), "as measured"
    assert max(trial.tokens for trial in found.trials) > 40
    free = await replace(held, unit="flops", cap=None).search(problems(), team, sampling=law)
    assert max(trial.tokens for trial in free.trials) > 60


@given(st.integers(1, 5), st.integers(0, 2**30))
def test_any_suggestion_of_bayesian_optimisation_is_a_graph(count: int, seed: int) -> None:
    stream = random.Random(seed)
    choices = [stream.randrange(2) for _ in range(count * count + count)]
    graph = chosen_graph(["small"] * count, choices, "large")
    assert graph.trimmed().models
    assert set(graph.edges) >= {
        pair for pair, on in zip(pairs_of(count), choices, strict=False) if on and pair[1] == count
    }


@pytest.mark.parametrize(
    "bad", ["", "I'm sorry, I cannot.", "{}", '{"graph": [], "probabilities": {}}', "no JSON here"]
)
async def test_unreadable_replies_fall_back_to_a_numeric_step(bad: str) -> None:
    optimiser = Optimiser(lambda text: bad)
    found = await search({"retries": 1, "iterations": 2}, optimiser=optimiser.model)
    assert found.stopped == "done"
    assert len(found.faults) >= 2
    assert sum("You improve a team" in text for text in optimiser.prompts) <= 2
    assert len([t for t in found.trials if t.source.startswith("text")]) == 2


async def test_the_best_graph_is_returned_unless_the_last_is_asked_for() -> None:
    found = await search({"iterations": 3, "return_last": True}, optimiser=Optimiser().model)
    assert found.accuracy is None
    assert found.graph == found.trials[-1].graph.trimmed()
    assert not any(t.source == "recheck" for t in found.trials)


async def test_cancelling_keeps_the_best_so_far() -> None:
    control = Control()

    def write(text: str) -> str:
        control.cancel()
        return Optimiser.keep(text)

    optimiser = Optimiser(write)
    found = await search({"iterations": 9}, optimiser=optimiser.model, control=control)
    assert found.stopped == "cancelled"
    assert found.trials


@pytest.mark.parametrize(
    "settings",
    [{"start": 0}, {"how": "guess"}, {"baseline": "median"}, {"rate": 0}, {"threshold": 1.0}, {"retries": -1}],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        AgentReinforce(**settings)


async def test_a_search_needs_problems_members_and_an_optimiser() -> None:
    with pytest.raises(BadInput):
        await AgentReinforce(how="random").search([], members())
    with pytest.raises(ConfigError):
        await AgentReinforce(how="random").search(problems(), {})
    with pytest.raises(ConfigError):
        await AgentReinforce().search(problems(), members())
    with pytest.raises(ConfigError):
        await AgentReinforce(how="random", sink="nobody").search(problems(), members())
    with pytest.raises(BadInput):
        await AgentReinforce(how="random").search([Problem(task=Task.of("hm"))], members())
    with pytest.raises(ConfigError, match="shape"):
        Member(model=ScriptedModel(info=ModelInfo(fingerprint="x"))).sized()


# -- replies of the optimiser ----------------------------------------------------------------------------------------

GRAPH = AgentGraph(models=("small", "large"), roles=(0, 0), edges=((0, 1), (1, 2)), sink="large")
TABLE = {"0>1": 0.5, "1>0": 0.1, "0>sink": 0.2, "1>sink": 0.9}


def reply(**changes: Any) -> str:
    return json.dumps({"graph": json.loads(as_nodes(GRAPH)), "probabilities": TABLE, **changes})


def test_a_reply_is_read_and_prose_around_it_does_not_matter() -> None:
    found = read_update(f"Sure:\n```json\n{reply()}\n```\nDone.", GRAPH, pairs_of(2))
    assert found.graph == GRAPH
    assert found.table[1, 2] == 0.9


@pytest.mark.parametrize(
    "changes",
    [
        {"graph": json.loads(as_nodes(GRAPH))[:-1]},
        {"graph": [*json.loads(as_nodes(GRAPH)), {"id": 0, "model": "small", "reads": []}]},
        {"graph": [{"id": 0, "model": "small"}, {"id": 1, "model": "small"}, {"id": "sink", "reads": [0]}]},
        {"graph": [{"id": 0, "model": "small"}, {"id": 1, "model": "large"}, {"id": "sink", "reads": []}]},
        {
            "graph": [
                {"id": 0, "model": "small", "reads": [7]},
                {"id": 1, "model": "large"},
                {"id": "sink", "reads": [0]},
            ]
        },
        {"graph": [{"id": 0, "model": "small", "role": "king"}, *json.loads(as_nodes(GRAPH))[1:]]},
        {"graph": "a graph"},
        {"probabilities": {**TABLE, "2>3": 0.5}},
        {"probabilities": {**TABLE, "0>1": 1.5}},
        {"probabilities": {**TABLE, "0>1": "high"}},
        {"probabilities": None},
    ],
)
def test_wrong_replies_are_refused_in_words(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        read_update(reply(**changes), GRAPH, pairs_of(2))


def test_edges_that_close_a_cycle_are_dropped() -> None:
    nodes = json.loads(as_nodes(GRAPH))
    nodes[0]["reads"] = [1]
    found = read_update(reply(graph=nodes), GRAPH, pairs_of(2))
    assert found.graph.edges == ((1, 0), (1, 2))


@pytest.mark.parametrize(
    "text", ["", "I choose 1 and 2", '{"choices": [1]}', '{"choices": [1, 1]}', '{"choices": [0, 9]}']
)
def test_choices_that_cannot_be_used(text: str) -> None:
    with pytest.raises(BadInput):
        read_choices(text, 3)
    assert read_choices('Well, {"choices": ["3", 1]}.', 3) == (2, 0)


@recorded("agent_reinforce")
def test_recorded_replies_of_the_embedded_model_are_used_or_refused(row: Mapping[str, Any]) -> None:
    readers = {
        "models": lambda text: read_choices(text, 3),
        "update": lambda text: read_update(text, GRAPH, pairs_of(2)),
    }
    assert usable("agent_reinforce", row, readers, package="ponder.training") is row["usable"]


@pytest.mark.parametrize("unit", ["flops", "tokens"])
async def test_a_cap_of_ones_own_holds_for_a_lone_large_model_too(unit: Any) -> None:
    cap = {"flops": 6.0, "tokens": 1300.0}[unit]
    for how in ("numeric", "random", "text", "alternate", "bayes"):
        found = await search({"how": how, "cap": cap, "unit": unit, "start": 7}, optimiser=Optimiser().model)
        assert found.cap == pytest.approx(cap)
        assert all(trial.units <= cap + 1e-9 for trial in found.trials)
    with pytest.raises(ConfigError, match="buys no graph"):
        await search({"how": "random", "cap": 0.5, "unit": unit})
