from __future__ import annotations

import json
from dataclasses import replace

from ponder.bench.progress import Status
from ponder.bench.rows import read_candidates, read_rows
from ponder.bench.runner import Done
from ponder.cli.bench_view import Progress, show_done
from ponder.core.usage import Usage
from ponder.models.scripted import ScriptedModel

SMALL = ("-m", "scripted:12|18|45", "--count", "3", "--sizes", "1,2")


def test_bench_writes_a_run_folder_prints_its_curves_and_goes_on(ponder, tmp_path):
    out = tmp_path / "run"
    first = ponder("bench", *SMALL, "--out", str(out))
    assert first.code == 0, first.err
    assert "multiplication_stories on scripted:12|18|45: 3 problems" in first.out
    assert "best_of_n by arithmetic" in first.out
    assert "FLOPs" in first.out
    assert f"ponder report {out}" in first.err
    rows = read_rows(out / "rows.jsonl")
    assert len(rows) == 3 * (1 + 2 + 2)
    assert all(row.costs["flops"] > 0 for row in rows)
    assert {row.text for row in read_candidates(out / "candidates.jsonl")} == {None}
    more = ponder("bench", *SMALL, "--budget", "none", "--budget", "calls=1", "--out", str(out))
    assert more.code == 0, more.err
    assert "30 of 30 runs (15 were there)" in more.err
    assert "paid 0 calls" in more.err


def test_grids_verifiers_seeds_roles_and_prices(ponder, tmp_path):
    prices = tmp_path / "prices.toml"
    prices.write_text('[prices."scripted:*"]\nprompt = 1.0\ncompletion = 2.0\n', encoding="utf-8")
    done = ponder(
        "bench", *SMALL, "--method", "self_consistency:n=2|3,early_stop=none|exact", "--method", "best_of_n",
        "--verifier", "arithmetic", "--verifier", "judge", "--judge", "scripted:7", "--seed", "0,1", "--keep-text",
        "--price-table", str(prices), "--tasks", "multiplication_stories", "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert done.code == 0, done.err
    rows = read_rows(tmp_path / "run" / "rows.jsonl")
    assert len(rows) == 3 * 2 * (4 + 2 * 2)
    assert {(row.n, row.settings["early_stop"]) for row in rows if row.method == "self_consistency"} == {
        (2, "none"), (2, "exact"), (3, "none"), (3, "exact"),
    }  # fmt: skip
    assert {row.verifier for row in rows} == {"", "arithmetic", "judge"}
    assert all(row.roles == {"judge": "scripted:7"} and row.costs["usd"] > 0 for row in rows)
    assert "USD" in done.out


def test_a_budget_in_dollars_is_kept_by_the_price_table(ponder, tmp_path):
    prices = tmp_path / "prices.toml"
    prices.write_text('[prices."scripted:*"]\nprompt = 0.0\ncompletion = 1e6\n', encoding="utf-8")  # 1 USD a token
    asked = ["bench", *SMALL, "--method", "self_consistency:n=8,early_stop=none", "--budget", "usd=3"]
    without = ponder(*asked, "--out", str(tmp_path / "without"))
    assert "needs prices" in without.err
    done = ponder(*asked, "--price-table", str(prices), "--out", str(tmp_path / "run"))
    assert done.code == 0, done.err
    rows = read_rows(tmp_path / "run" / "rows.jsonl")
    assert rows
    assert all(0 < row.costs["usd"] <= 3 for row in rows)
    assert all(row.nominal.usd == row.costs["usd"] for row in rows)
    assert {row.stopped for row in rows} == {"budget"}


def test_a_job_file_and_a_changed_one(ponder, tmp_path):
    file = tmp_path / "job.toml"
    text = """
models = ["scripted:12|18"]
tasks = ["multiplication_stories?level=1"]
count = 2
[sampling]
max_tokens = 9
[[methods]]
method = "self_consistency"
settings = {n = [1, 2]}
"""
    file.write_text(text, encoding="utf-8")
    out = tmp_path / "run"
    done = ponder("bench", "--job", str(file), "--out", str(out))
    assert done.code == 0, done.err
    assert {row.level for row in read_rows(out / "rows.jsonl")} == {1.0}
    assert json.loads((out / "job.json").read_text(encoding="utf-8"))["job"]["sampling"]["max_tokens"] == 9
    file.write_text(text.replace("max_tokens = 9", "max_tokens = 8"), encoding="utf-8")
    changed = ponder("bench", "--job", str(file), "--out", str(out))
    assert changed.code == 2
    assert "sampling.max_tokens: 9 -> 8" in changed.err


def test_wrong_words_are_refused_before_a_folder_is_made(ponder, tmp_path):
    for wrong, told in (
        (("--method", "best_of_n:m=3"), "no setting 'm'"),
        (("--sizes", "few"), "--sizes"),
        (("--budget", "tokens"), "cannot read 'tokens'"),
        (("--seed", "1,1"), "twice"),
        (("--tasks", "nonsense"), "nonsense"),
        (("--job", str(tmp_path / "none.toml")), "cannot read the job"),
    ):
        done = ponder("bench", *SMALL, *wrong, "--out", str(tmp_path / "run"))
        assert done.code == 2, done.err
        assert told in done.err
        assert not (tmp_path / "run").exists()


def test_runs_that_are_missing_are_said(capsys, tmp_path):
    paid = {"policy": Usage(calls=2, prompt_tokens=5, completion_tokens=1, usd=0.5)}
    show_done(
        Done(
            path=tmp_path, total=9, done=4, before=1, missing={"no\nroom": 5}, paid=paid, seconds=61.0, detail="Ctrl-C"
        )
    )
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "4 of 9 runs (1 were there) in 1 min 1 s; paid 2 calls, 6 tokens, $0.500000",
        "missing: 5 runs: no room",
        "ended early: Ctrl-C",
    ]


def test_progress_without_a_terminal_is_a_line_now_and_then(capsys):
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    status = Status(done=3, before=1, total=9, missing=1, seconds=4.0, left=3700.0, paid={})
    with progress.live():
        progress.tell(status)
        progress.tell(replace(status, done=4))  # too soon for another line
        progress.tell(replace(status, waiting="gone"))
        progress.tell(status)
        now[0] = 20.0
        progress.tell(replace(status, done=5, left=None))
    assert capsys.readouterr().err.splitlines() == [
        "3 of 9 runs, 4 s, 1 h 1 min left, 1 left out, 0 tokens paid",
        "waiting: gone",
        "it answers again",
        "5 of 9 runs, 4 s, 1 left out, 0 tokens paid",
    ]


def test_traces_are_kept_unless_that_is_not_wanted_and_a_report_shows_them(ponder, tmp_path):
    kept, none, page = tmp_path / "kept", tmp_path / "none", tmp_path / "r.html"
    assert ponder("bench", *SMALL, "--out", str(kept)).code == 0
    assert ponder("bench", *SMALL, "--no-traces", "--out", str(none)).code == 0
    assert (kept / "traces.sqlite").exists()
    assert not (none / "traces.sqlite").exists()
    assert ponder("report", str(kept), "-o", str(page)).code == 0
    assert "Runs in detail" in page.read_text(encoding="utf-8")
    assert ponder("report", str(kept), "-o", str(page), "--traces", "0").code == 0
    assert "Runs in detail" not in page.read_text(encoding="utf-8")
    assert ponder("report", str(none), "-o", str(page)).code == 0
    assert "Runs in detail" not in page.read_text(encoding="utf-8")


def test_failed_answers_are_said_and_made_again(ponder, tmp_path, monkeypatch):
    usual = ScriptedModel.from_spec

    def failing(rest, **options):
        return replace(usual(rest, **options), fail_every=4)

    out = tmp_path / "run"
    monkeypatch.setattr(ScriptedModel, "from_spec", failing)
    first = ponder("bench", *SMALL, "--out", str(out))
    failed = sum(row.failed > 0 for row in read_rows(out / "rows.jsonl"))
    assert failed > 0
    assert "the provider failed to give an answer: --retry-failed asks again." in first.out
    monkeypatch.setattr(ScriptedModel, "from_spec", usual)
    again = ponder("bench", *SMALL, "--out", str(out), "--retry-failed")
    assert f"made again, as the provider had failed to give an answer: {failed} run" in again.err
    assert "provider failed" not in again.out
    assert not any(row.failed for row in read_rows(out / "rows.jsonl"))
