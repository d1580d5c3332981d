from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.models.scripted import ScriptedModel
from ponder.tasks.arithmetic_chains import ArithmeticChains
from ponder.verifiers.trained_prm import Head
from tests.cli.command import Command
from tests.training.prm_world import world

pytest.importorskip("numpy")
SMALL = ("--count", "12", "--features", "certainty", "--k", "2")


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedModel, "from_spec", classmethod(lambda cls, rest: world()))


def test_train_prm_writes_the_head_and_reports_its_area_and_cost(ponder: Command, tmp_path: Path) -> None:
    done = ponder("train", "prm", str(tmp_path / "head"), "--model", "scripted:world", *SMALL, "--no-store")
    assert done.code == 0, done.err
    assert "AUC on held-out tasks: 0." in done.out or "AUC on held-out tasks: 1." in done.out
    assert "within a task" in done.out
    assert "policy: " in done.out
    assert "reads certainty, chosen on training tasks" in done.out
    assert Head.load(tmp_path / "head").report["train"]["tasks"] == 9


def test_train_prm_reads_a_file_of_ones_own(ponder: Command, tmp_path: Path) -> None:
    rows = [{"q": p.task.messages[-1].text, "gold": p.reference} for p in ArithmeticChains().generate(30, seed=3)]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = f"{file}?prompt={{q}}&reference=gold&answer=number"
    done = ponder("train", "prm", str(tmp_path), "--model", "scripted:world", "--tasks", spec, *SMALL[2:], "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert (report["train"]["tasks"], report["held_out"]["tasks"]) == (22, 8)  # all rows of the file
    assert report["held_out"]["auc"]["value"] > 0.5
    spec = f"{file}?prompt={{q}}"
    done = ponder("train", "prm", str(tmp_path), "--model", "scripted:world", "--tasks", spec, *SMALL, "--no-store")
    assert done.code == 2
    assert "no column 'reference'" in done.err


def test_train_prm_prints_json_and_resumes_from_its_store(ponder: Command, tmp_path: Path) -> None:
    options = ("--model", "scripted:world", *SMALL, "--store", str(tmp_path / "s.sqlite"), "--json")
    first = json.loads(ponder("train", "prm", str(tmp_path), *options).out)
    again = json.loads(ponder("train", "prm", str(tmp_path), *options).out)
    assert again["held_out"] == first["held_out"]
    assert first["paid"]["policy"]["calls"] > again["paid"]["policy"]["calls"] == 0


def test_train_prm_takes_several_kinds_of_tasks_in_turns(ponder: Command, tmp_path: Path) -> None:
    both = ("--tasks", "arithmetic_chains?steps=2", "--tasks", "arithmetic_chains?steps=3")
    done = ponder("train", "prm", str(tmp_path), "--model", "scripted:world", *both, *SMALL, "--no-store", "--json")
    assert done.code == 0, done.err
    kinds = [{p.task.id for p in ArithmeticChains(steps=steps).generate(12, seed=0)} for steps in (2, 3)]
    assert [task in kinds[at % 2] for at, task in enumerate(json.loads(done.out)["tasks"])] == [True] * 24


def test_train_prm_refuses_what_it_does_not_know(ponder: Command, tmp_path: Path) -> None:
    wrong = ponder("train", "prm", str(tmp_path), "--model", "scripted:w", "--features", "stars", "--no-store")
    assert wrong.code == 2
    assert "certainty or hidden" in wrong.err
    wrong = ponder("train", "prm", str(tmp_path), "--model", "scripted:w", "--layers", "one", "--no-store")
    assert wrong.code == 2
    assert "--layers" in wrong.err
    assert ponder("train", "prm", str(tmp_path), "--model", "scripted:w", "--family", "nothing", "--no-store").code == 2
