"""The two commands that make training data, on a scripted world; they are joined to `ponder train` by its module."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ponder.cli.train_labels import critiques, labels
from ponder.models.scripted import ScriptedModel
from ponder.training.critique_records import read_critiques
from ponder.training.step_records import read_labels
from tests.training.prm_world import work_out

app = typer.Typer()
app.command("labels")(labels)
app.command("critiques")(critiques)
MODEL = ("--model", "scripted:world", "--no-store")


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(request, number):  # a critic that labels nothing, else the world
        return "Fine." if "What is known" in request.messages[-1].text else work_out(request, number)

    monkeypatch.setattr(ScriptedModel, "from_spec", classmethod(lambda cls, rest: cls(replies=reply)))


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_labels_are_written_with_their_cost(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    options = ("--tasks", "5", "--paths", "2", "--least", "4", "--tries", "16", "--k", "4")
    done = run("labels", str(file), *MODEL, *options)
    assert done.exit_code == 0, done.output
    assert "steps labelled" in done.output
    assert "completer: " in done.output
    found = read_labels(file)
    assert len(found) == 5
    said = json.loads(run("labels", str(file), *MODEL, *options, "--json").stdout)
    assert said["steps"] == sum(len(one.labels) for task in found for one in task.solutions)
    assert sum(said["tasks"].values()) == 5
    assert said["usage"]["policy"]["calls"] == sum(task.usage["policy"].calls for task in found)


def test_critiques_are_written_with_their_cost(tmp_path: Path) -> None:
    file = tmp_path / "critiques.jsonl"
    done = run("critiques", str(file), *MODEL, "--tasks", "3", "--samples", "3", "--inserted", "0")
    assert done.exit_code == 0, done.output
    assert "0 critiques kept" in done.output
    found = read_critiques(file)
    assert len(found) == 3
    assert all("unreadable" in item.dropped for task in found for item in task.items)


@pytest.mark.parametrize("command", ["labels", "critiques"])
def test_unknown_family_and_model_are_refused(command: str, tmp_path: Path) -> None:
    for wrong in (("--family", "nothing"), ("--model", "nobody:home")):
        done = run(command, str(tmp_path / "out"), *MODEL, *wrong)
        assert done.exit_code != 0
        assert not (tmp_path / "out").exists()
