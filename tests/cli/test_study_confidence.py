from __future__ import annotations

import json

from ponder.bench.rows import read_rows


def test_the_study_writes_rows_table_and_page_and_can_be_studied_again(ponder, tmp_path):
    out, again = tmp_path / "study", tmp_path / "again"
    live = ponder(
        "study", "verbalized-confidence", "-m",
        "scripted:<answer>12</answer><confidence>80%</confidence>|<answer>18</answer><confidence>90%</confidence>",
        "--count", "5", "--form", "percent", "--form", "reflection", "--out", str(out),
    )  # fmt: skip
    assert live.code == 0, live.err
    assert "Calibration" in live.out
    assert len(read_rows(out / "rows.jsonl")) == 10
    table = json.loads((out / "table.json").read_text(encoding="utf-8"))
    assert [source["asked"] for source in table["sources"]] == [5, 5]
    assert "<svg" in (out / "page.html").read_text(encoding="utf-8")
    rows = str(out / "rows.jsonl")
    known = ponder("study", "verbalized-confidence", "--rows", rows, "--bins", "5", "--out", str(again))
    assert known.code == 0, known.err
    assert json.loads((again / "table.json").read_text(encoding="utf-8"))["bins"] == 5
    assert ponder("study", "verbalized-confidence", "--rows", rows, "--closed", "x", "--out", str(again)).code != 0
    assert ponder("study", "verbalized-confidence", "--form", "x", "-m", "scripted:1", "--out", str(again)).code != 0
