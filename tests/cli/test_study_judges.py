"""`ponder study judge-scaling` and `inequality-proofs`: rows, table and page, live and from recorded rows."""

from __future__ import annotations

import json

import pytest

from ponder.bench.rows import read_rows


def test_judge_scaling_writes_rows_table_and_page_and_can_be_studied_again(ponder, tmp_path):
    out, again = tmp_path / "study", tmp_path / "again"
    live = ponder(
        "study", "judge-scaling", "-m", "scripted:[[A]]|[[B]]", "--count", "3", "--rounds", "2", "--out", str(out)
    )
    assert live.code == 0, live.err
    assert "Judge scripted" in live.out
    assert len(read_rows(out / "rows.jsonl")) == 3 * 2 * 3  # pairs, orders, rounds
    table = json.loads((out / "table.json").read_text(encoding="utf-8"))
    assert len(table["models"][0]["rounds"]) == 3
    assert 'class="plot"' in (out / "page.html").read_text(encoding="utf-8")
    recorded = ponder("study", "judge-scaling", "--rows", str(out / "rows.jsonl"), "--count", "3", "--out", str(again))
    assert recorded.code == 0, recorded.err
    assert json.loads((again / "table.json").read_text(encoding="utf-8"))["models"] == table["models"]


def test_judge_scaling_reads_chosen_and_rejected_answers_of_a_users_file(ponder, tmp_path):
    file = tmp_path / "pairs.jsonl"
    lines = [{"prompt": f"q{at}", "chosen": "yes", "rejected": "no", "subset": "easy"} for at in range(3)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done = ponder(
        "study", "judge-scaling", "-m", "scripted:[[A]]", "--problems", str(file), "--rounds", "1",
        "--out", str(tmp_path / "own"),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "easy" in done.out
    assert "50.0%" in done.out  # whatever is shown first wins


@pytest.mark.math
def test_inequality_proofs_writes_rows_table_and_page_and_can_be_studied_again(ponder, tmp_path):
    out, again = tmp_path / "study", tmp_path / "again"
    live = ponder(
        "study", "inequality-proofs", "-m", "scripted:The answer is $C=3$|The answer is (B) $\\geq$",
        "--judge", "scripted:Equation: none\nFlagged: none\nSound: True|Sound: False", "--count", "4",
        "--out", str(out),
    )  # fmt: skip
    assert live.code == 0, live.err
    assert "Solver scripted" in live.out
    assert "NTC" in live.out
    assert len(read_rows(out / "rows.jsonl")) == 4 * 4  # problems, flaws
    table = json.loads((out / "table.json").read_text(encoding="utf-8"))
    assert len(table["models"][0]["solutions"]) == 4
    assert 'class="plot"' in (out / "page.html").read_text(encoding="utf-8")
    recorded = ponder(
        "study", "inequality-proofs", "--rows", str(out / "rows.jsonl"), "--count", "4", "--out", str(again)
    )
    assert recorded.code == 0, recorded.err
    assert json.loads((again / "table.json").read_text(encoding="utf-8"))["models"] == table["models"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("judge-scaling", "--markers", "none"),
        ("judge-scaling", "--rounds", "-1"),
        ("judge-scaling", "--problems", "nowhere.jsonl"),
        ("inequality-proofs", "--kind", "none"),
        ("inequality-proofs", "--problems", "nowhere.jsonl"),
    ],
)
def test_wrong_settings_are_said_in_one_line(ponder, tmp_path, wrong):
    done = ponder("study", *wrong[:1], "-m", "scripted:1", *wrong[1:], "--out", str(tmp_path / "out"))
    assert done.code == 2


@pytest.mark.parametrize("study", ["thinking-budget", "machine-translation", "judge-scaling", "inequality-proofs"])
def test_models_may_be_named_endpoints_of_a_file(ponder, tmp_path, study):
    file = tmp_path / "ends.toml"
    file.write_text(
        '[endpoints.mine]\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\nretries = 0\n', encoding="utf-8"
    )
    options = ("--count", "1", "--out", str(tmp_path / "out"), "--endpoints", str(file))
    known = ponder("study", study, "-m", "mine", *options)
    assert known.code != 0
    assert "no model is called" not in known.err
    unknown = ponder("study", study, "-m", "other", *options)
    assert unknown.code == 2
    assert "no endpoint 'other'" in unknown.err


@pytest.mark.embedded
def test_the_embedded_model_judges_pairs_and_proofs(ponder, tmp_path, monkeypatch):
    monkeypatch.delenv("PONDER_CACHE")
    pairs = ponder(
        "study", "judge-scaling", "--count", "1", "--rounds", "1", "--thinking", "16", "--verdict", "8",
        "--out", str(tmp_path / "pairs"),
    )  # fmt: skip
    assert pairs.code == 0, pairs.err
    rows = read_rows(tmp_path / "pairs" / "rows.jsonl")
    assert len(rows) == 4
    assert all(sum(used.thinking_tokens for used in row.usage.values()) <= 16 for row in rows)
    proofs = ponder(
        "study", "inequality-proofs", "--count", "1", "--kind", "relation", "--max-tokens", "48",
        "--judge-tokens", "24", "--out", str(tmp_path / "proofs"),
    )  # fmt: skip
    assert proofs.code == 0, proofs.err
    table = json.loads((tmp_path / "proofs" / "table.json").read_text(encoding="utf-8"))
    assert len(table["models"][0]["solutions"]) == 1
