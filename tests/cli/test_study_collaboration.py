"""`ponder study multi-agent-debate` and `sleep-time`, live and from recorded rows."""

from __future__ import annotations

import json

from ponder.bench.rows import read_rows


def test_debate_writes_rows_table_and_page_and_can_be_studied_again(ponder, tmp_path):
    out, again = tmp_path / "study", tmp_path / "again"
    live = ponder(
        "study", "multi-agent-debate", "-m", "scripted:12|18|7", "--answers", "4", "--count", "4", "--out", str(out)
    )
    assert live.code == 0, live.err
    assert "debate 2x2" in live.out
    assert len(read_rows(out / "rows.jsonl")) == 4 * 3
    assert (out / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    recorded = ponder("study", "multi-agent-debate", "--rows", str(out / "rows.jsonl"), "--out", str(again))
    assert recorded.code == 0, recorded.err
    tables = [json.loads((folder / "table.json").read_text(encoding="utf-8"))["models"] for folder in (out, again)]
    assert tables[0] == tables[1]


def test_debate_on_attacks(ponder, tmp_path):
    done = ponder(
        "study", "multi-agent-debate", "-m", "scripted:no", "--answers", "2", "--count", "2", "--family", "safety",
        "--kind", "attack", "--out", str(tmp_path),
    )  # fmt: skip
    assert done.code == 0, done.err


def test_sleep_time_shares_costs(ponder, tmp_path):
    done = ponder(
        "study", "sleep-time", "-m", "scripted:12|7", "--count", "10", "--verbosity", "0", "--out", str(tmp_path)
    )
    assert done.code == 0, done.err
    assert "10 questions on 2 contexts" in done.out
    wrong = ponder("study", "sleep-time", "-m", "scripted:1", "--verbosity", "9", "--out", str(tmp_path / "x"))
    assert wrong.code != 0
