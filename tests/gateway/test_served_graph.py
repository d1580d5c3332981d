"""A graph of models that was searched for, served by the gateway: its JSON in a request, its models by role."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ponder import Request, Task
from ponder.gateway.settings import Settings, Upstream
from ponder.models.scripted import ScriptedModel
from ponder.numerics.graph_costs import Size
from ponder.tasks.problem import Problem
from ponder.training.agent_reinforce import AgentReinforce, Member
from tests.gateway.house import serving


def doubled(request: Request, number: int) -> str:
    return str(2 * int(request.messages[-1].text.split()[0]))


async def test_what_a_search_saved_answers_behind_the_gateway(tmp_path: Path) -> None:
    models = {
        "small": ScriptedModel(replies=["999"], name="small"),
        "large": ScriptedModel(replies=doubled, name="large"),
    }
    sizes = {"small": Size(1e9, 16, 2048), "large": Size(3e9, 28, 3072)}
    members = {name: Member(model=model, size=sizes[name]) for name, model in models.items()}
    problems = [Problem(task=Task.of(f"{k} + {k}?", answer="number"), reference=str(2 * k)) for k in range(1, 5)]
    search = AgentReinforce(how="random", start=2, iterations=2, pretest=1, batch=1, recheck=1)
    found = await search.search(problems, members)
    saved = found.save(tmp_path / "graph.json")
    settings = Settings(
        upstreams=tuple(Upstream(name=name, spec="scripted:x") for name in models),
        roles={name: name for name in models},
    )
    graph = json.dumps(json.loads(saved.read_text())["graph"])
    async with serving(settings, models) as house:

        async def ask(spec: str, **more: Any) -> tuple[int, Any]:
            wanted = {"method": "agent_graph", "params": {"graph": spec}, "answer": "number", **more}
            return await house.chat("large", "21 + 21?", ponder=wanted)

        status, body = await ask(graph)
        assert status == 200, body
        assert body["ponder"]["answer"] == "42"
        used = {role: used["calls"] for role, used in body["usage"]["ponder"]["roles"].items()}
        wanted = [*found.graph.models, found.graph.sink]
        assert used == {name: wanted.count(name) for name in set(wanted)}
        status, body = await ask(str(saved))
        assert (status, body["error"]["code"]) == (400, "forbidden_setting"), "files belong to whoever runs it"
        status, body = await ask(graph, budget={"calls": 1})
        assert (status, body["usage"]["ponder"]["calls"]) == (200, 1)
