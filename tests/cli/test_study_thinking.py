from __future__ import annotations

import json

import pytest

from ponder.bench.rows import read_rows

MODEL = "scripted:so \\boxed{A}|the answer is B|(C)"


def test_thinking_budget_writes_rows_table_and_page_and_can_be_studied_again(ponder, tmp_path):
    out, again = tmp_path / "study", tmp_path / "again"
    live = ponder(
        "study", "thinking-budget", "-m", MODEL, "--count", "6", "--budgets", "4,8", "--cues", "0,1", "--out", str(out)
    )
    assert live.code == 0, live.err
    assert "Model scripted" in live.out
    assert len(read_rows(out / "rows.jsonl")) == 6 * 4
    table = json.loads((out / "table.json").read_text(encoding="utf-8"))
    assert sum(table["rules"]["thinking 4, 0 cues"].values()) == 6
    assert (out / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    recorded = ponder("study", "thinking-budget", "--rows", str(out / "rows.jsonl"), "--out", str(again))
    assert recorded.code == 0, recorded.err
    known = json.loads((again / "table.json").read_text(encoding="utf-8"))
    assert known["models"] == table["models"]


def test_thinking_budget_takes_other_families_and_published_files(ponder, tmp_path):
    done = ponder(
        "study", "thinking-budget", "-m", "scripted:12|18", "--family", "multiplication_stories", "--count", "4",
        "--budgets", "8", "--out", str(tmp_path / "a"),
    )  # fmt: skip
    assert done.code == 0, done.err
    file = tmp_path / "medqa.jsonl"
    file.write_text(json.dumps({"question": "Which?", "options": {"A": "x", "B": "y"}, "answer_idx": "A"}), "utf-8")
    done = ponder(
        "study", "thinking-budget", "-m", MODEL, "--problems", str(file), "--format", "medqa", "--budgets", "8",
        "--out", str(tmp_path / "b"),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert {row.grader for row in read_rows(tmp_path / "b" / "rows.jsonl")} == {"medical_choice"}


def test_machine_translation_writes_a_study_of_the_sentences_and_of_a_users_file(ponder, tmp_path):
    pytest.importorskip("sacrebleu")
    out, again = tmp_path / "study", tmp_path / "again"
    live = ponder(
        "study", "machine-translation", "-m", "scripted:Das ist gut.|Ja", "--count", "4", "--budgets", "0,8",
        "--scenario", "direct,wait,edit,edit+score", "--out", str(out),
    )  # fmt: skip
    assert live.code == 0, live.err
    assert "English to German" in live.out
    assert len(read_rows(out / "rows.jsonl")) == 4 * 7
    table = json.loads((out / "table.json").read_text(encoding="utf-8"))
    assert table["metrics"] == ["chrF", "BLEU"]
    recorded = ponder(
        "study", "machine-translation", "--rows", str(out / "rows.jsonl"), "--count", "4", "--metric", "chrf",
        "--out", str(again),
    )  # fmt: skip
    assert recorded.code == 0, recorded.err

    file = tmp_path / "mine.jsonl"
    file.write_text(json.dumps({"source": "A day.", "reference": "Ein Tag.", "lp": "en-de"}), "utf-8")
    done = ponder(
        "study", "machine-translation", "-m", "scripted:Ein Tag.", "--problems", str(file), "--budgets", "0",
        "--scenario", "direct", "--out", str(tmp_path / "own"),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "100.0" in done.out


@pytest.mark.parametrize(
    "wrong",
    [
        ("thinking-budget", "--budgets", "0"),
        ("thinking-budget", "--budgets", "many"),
        ("thinking-budget", "--markers", "none"),
        ("machine-translation", "--metric", "no_such_metric"),
        ("machine-translation", "--scenario", "none"),
        ("machine-translation", "--into", "xx"),
    ],
)
def test_wrong_settings_are_said_in_one_line(ponder, tmp_path, wrong):
    done = ponder("study", *wrong[:1], "-m", "scripted:1", *wrong[1:], "--out", str(tmp_path))
    assert done.code == 2
    assert done.err.startswith("ponder: ")
