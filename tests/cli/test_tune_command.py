from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.bench.rows import append_rows
from ponder.planning.policy import load_policy
from tests.bench.test_tune import a_model, four_times, recorded
from tests.cli.command import Command


@pytest.fixture
async def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    append_rows(folder / "rows.jsonl", four_times(await recorded(a_model())))
    return folder


def test_a_policy_is_fitted_explained_and_rolled_back(ponder: Command, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "policy.json"
    first = ponder("tune", "--runs", str(runs), "-o", str(out), "--objective", "cost", "--slack", "0.02")
    assert first.code == 0, first.err
    assert "learned on 240 questions: f (240)" in first.out
    assert "tells difficulty by agreement" in first.out
    assert "On questions that took no part in the fit" in first.out
    before = load_policy(out)
    shown = ponder("explain-policy", str(out))
    assert shown.out == first.out
    assert json.loads(ponder("explain-policy", str(out), "--json").out)["objective"] == "cost"
    assert ponder("tune", "--runs", str(runs / "rows.jsonl"), "-o", str(out), "--budget", "tokens=30").code == 0
    assert load_policy(out).budget == 30
    assert ponder("tune", "-o", str(out), "--roll-back").code == 0
    assert load_policy(out) == before


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "what to learn from"),
        (["--runs", "nowhere"], "cannot read"),
        (["--runs", "RUNS", "--budget", "900"], "UNIT=NUMBER"),
        (["--runs", "RUNS", "--budget", "tokens=9", "--unit", "usd"], "choose one"),
        (["--runs", "RUNS", "--objective", "speed"], "objective must be"),
        (["--runs", "RUNS", "--budget", "apples=3"], "costs are in one of"),
        (["--runs", "RUNS", "--family", "none"], "no graded row"),
    ],
)
def test_wrong_questions_are_answered_in_one_line(ponder: Command, runs: Path, args: list[str], said: str) -> None:
    found = ponder("tune", *[str(runs) if arg == "RUNS" else arg for arg in args])
    assert found.code == 2
    assert said in found.err
    assert len(found.err.strip().splitlines()) == 1


def test_a_policy_that_is_one_fixed_choice_says_so_in_place_of_equal_rows(
    ponder: Command, runs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "policy.json"
    assert ponder("tune", "--runs", str(runs), "-o", str(out), "--thin", "1000").code == 0
    said = ponder("explain-policy", str(out)).out
    assert "the policy is one fixed choice" in said
    assert "the best fixed choice" not in said
    held = json.loads(ponder("explain-policy", str(out), "--json").out)["evidence"]["held_out"]
    assert held["fixed"]["cost"] == held["cost"]  # the numbers are all there for programs
    other = ponder("tune", "--runs", str(runs), "-o", str(out), "--objective", "cost", "--slack", "0.02").out
    assert "the policy is one fixed choice" not in other
    assert "the best fixed choice" in other
