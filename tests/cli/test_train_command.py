from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.models.scripted import ScriptedModel
from ponder.verifiers.trained_prm import Head
from tests.cli.command import Command
from tests.training.prm_world import world

pytest.importorskip("numpy")


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedModel, "from_spec", classmethod(lambda cls, rest: world()))


def test_train_prm_writes_the_head_and_reports_its_area_and_cost(ponder: Command, tmp_path: Path) -> None:
    done = ponder("train", "prm", str(tmp_path / "head"), "--model", "scripted:world", "--tasks", "12", "--no-store")
    assert done.code == 0, done.err
    assert "AUC on held-out tasks: 0." in done.out or "AUC on held-out tasks: 1." in done.out
    assert "within a task" in done.out
    assert "policy: " in done.out
    assert Head.load(tmp_path / "head").report["train"]["tasks"] == 9


def test_train_prm_prints_json_and_resumes_from_its_store(ponder: Command, tmp_path: Path) -> None:
    options = ("--model", "scripted:world", "--tasks", "8", "--store", str(tmp_path / "s.sqlite"), "--json")
    first = json.loads(ponder("train", "prm", str(tmp_path), *options).out)
    again = json.loads(ponder("train", "prm", str(tmp_path), *options).out)
    assert again["held_out"] == first["held_out"]
    assert first["paid"]["policy"]["calls"] > again["paid"]["policy"]["calls"] == 0


def test_train_prm_refuses_what_it_does_not_know(ponder: Command, tmp_path: Path) -> None:
    wrong = ponder("train", "prm", str(tmp_path), "--model", "scripted:w", "--features", "stars", "--no-store")
    assert wrong.code == 2
    assert "certainty or hidden" in wrong.err
    assert ponder("train", "prm", str(tmp_path), "--model", "scripted:w", "--family", "nothing", "--no-store").code == 2
