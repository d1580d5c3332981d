"""`ponder train graph` on scripted models: the file that it writes is served, its budgets hold, bad input fails."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from ponder import ScriptedModel, Task, solve
from ponder.core.model import Request
from ponder.strategies.agent_graph import read_graph
from tests.cli.command import Command

ROLES = ("--role", "small=scripted:999", "--role", "large=scripted:adds")
SIZES = ("--size", "small=1e9,16,2048", "--size", "large=3e9,28,3072", "--price", "large=3")
QUICK = ("--iterations", "2", "--batch", "2", "--pretest", "1", "--recheck", "2", "--start", "3", "--no-store")


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """`scripted:adds` adds the two numbers of a question; what it writes as an optimiser cannot be used."""

    def adds(request: Request, number: int) -> str:
        found = re.search(r"(\d+) \+ (\d+)\?", request.messages[-1].text)
        return str(int(found[1]) + int(found[2])) if found else "I would rather not."

    def made(cls: type[ScriptedModel], rest: str) -> ScriptedModel:
        return cls(replies=adds if rest == "adds" else [rest], name=rest)

    monkeypatch.setattr(ScriptedModel, "from_spec", classmethod(made))


@pytest.fixture
def spec(tmp_path: Path) -> str:
    rows = [{"q": f"{k} + {k + 1}?", "gold": str(2 * k + 1)} for k in range(6)]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"{file}?prompt={{q}}&reference=gold&answer=number"


@pytest.mark.parametrize("method", ["textual", "reinforce", "alternate", "bayes", "random"])
def test_the_file_is_served(ponder: Command, tmp_path: Path, spec: str, method: str) -> None:
    out = tmp_path / "graph.json"
    done = ponder("train", "graph", str(out), *ROLES, *SIZES, *QUICK, "--tasks", spec, "--method", method, "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["accuracy"] == 1, "the sink is the model that adds"
    assert ("optimiser" in said["usage"]) == (method in ("textual", "alternate"))
    assert bool(said["faults"]) == (method in ("textual", "alternate"))
    graph = read_graph(str(out))
    assert graph.to_json() == said["graph"]
    roles = {name: ScriptedModel(replies=["7"], name=name) for name in ("small", "large")}
    task = Task.of("3 + 4?", answer="number")
    result = asyncio.run(solve(task, model=roles["large"], roles=roles, method="agent_graph", graph=str(out)))
    assert result.answer == "7"


@pytest.mark.parametrize("budget", ["units=6", "tokens=1300"])
def test_no_graph_costs_more_than_the_budget(ponder: Command, tmp_path: Path, spec: str, budget: str) -> None:
    out = str(tmp_path / "graph.json")
    options = ("--tasks", spec, "--method", "random", "--budget", budget)
    said = json.loads(ponder("train", "graph", out, *ROLES, *SIZES, *QUICK, *options, "--json").out)
    assert said["cap"] == pytest.approx(float(budget.partition("=")[2]))
    assert all(trial["units"] <= said["cap"] + 1e-9 for trial in said["trials"])
    assert said["units"] <= said["cap"] + 1e-9
    text = ponder("train", "graph", out, *ROLES, *SIZES, *QUICK, *options).out
    assert ("smallest models" in text) == budget.startswith("units")
    assert "sink: large" in text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--budget", "dollars=3"), "units=NUMBER"),
        (("--budget", "units=many"), "units=NUMBER"),
        (("--budget", "tokens=5"), "buys no graph"),
        (("--budget", "units=-1"), "above 0"),
        (("--price", "small=0"), "whole number"),
        (("--price", "nobody=2"), "no role 'nobody'"),
        (("--size", "nobody=1,1,1"), "no role 'nobody'"),
        (("--family", "nothing"), "nothing"),
    ],
)
def test_bad_input_is_refused_in_words(
    ponder: Command, tmp_path: Path, spec: str, wrong: tuple[str, str], said: str
) -> None:
    out = tmp_path / "graph.json"
    done = ponder("train", "graph", str(out), *ROLES, *SIZES, *QUICK, "--tasks", spec, "--method", "random", *wrong)
    assert done.code == 2
    assert said in done.err
    assert not out.exists()


def test_a_model_without_a_shape_needs_a_size(ponder: Command, tmp_path: Path, spec: str) -> None:
    done = ponder("train", "graph", str(tmp_path / "g"), *ROLES, *QUICK, "--tasks", spec)
    assert done.code == 2
    assert "shape" in done.err
    bad = ponder("train", "graph", str(tmp_path / "g"), *ROLES, *QUICK, "--tasks", spec, "--size", "small=big")
    assert bad.code == 2
    assert "1e9,16,2048" in bad.err
