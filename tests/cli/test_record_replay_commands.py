"""`ponder record` and `ponder replay`: a pool made once, studied for nothing, read by every other command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.bench.rows import read_rows
from ponder.models.replay import read_pool
from tests.cli.command import Command

SCRIPT = "scripted:6|it is 12|7 x 8 = 56|no idea|12|56"
FIXTURES = Path(__file__).parents[1] / "fixtures" / "pools"


def record(ponder: Command, out: Path, *more: str):
    return ponder(
        "record", "-m", SCRIPT, "--count", "12", "-n", "8", "--max-tokens", "20", "--verifier", "arithmetic",
        "--out", str(out), *more,
    )  # fmt: skip


def test_record_then_replay_then_report_and_tune(ponder: Command, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    done = record(ponder, pool, "--greedy")
    assert done.code == 0, done.err
    assert "12 of 12 problems (0 were there)" in done.err
    assert "paid 108 calls" in done.err
    assert len(read_pool(pool)) == 12 * 9
    again = record(ponder, pool, "--greedy")
    assert "12 of 12 problems (12 were there)" in again.err
    assert "paid 0 calls" in again.err

    shown = ponder("replay", str(pool))
    assert shown.code == 0, shown.err
    for name in ("greedy", "self_consistency", "self_certainty", "borda_voting", "best_of_n", "weighted=True"):
        assert name in shown.out
    oracle = next(line for line in shown.out.splitlines() if "pass@8" in line)
    assert oracle.startswith("Oracle (uses gold")
    assert "pass@" not in shown.out.replace(oracle, "")
    rows = read_rows(pool / "rows.jsonl")
    assert len(rows) == 12 * (1 + 5 * 4)
    assert f"{len(rows):,} rows" in shown.err

    assert ponder("report", str(pool), "-o", str(tmp_path / "page.html")).code == 0
    assert "borda_voting" in (tmp_path / "page.html").read_text()
    tuned = ponder("tune", "--runs", str(pool), "-o", str(tmp_path / "policy.json"))
    assert tuned.code == 0, tuned.err
    assert json.loads((tmp_path / "policy.json").read_text())


def test_methods_run_on_the_pool_through_the_replay_model(ponder: Command, tmp_path: Path) -> None:
    pool, out = tmp_path / "pool", tmp_path / "bench"
    record(ponder, pool)
    done = ponder(
        "bench", "-m", f"replay:{pool}", "--tasks", f"problems:{pool / 'problems.jsonl'}", "--max-tokens", "20",
        "--method", "self_consistency:early_stop=none", "--method", "best_of_n", "--method", "borda_voting",
        "--method", "self_certainty", "--sizes", "1,8", "--out", str(out),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "paid 0 calls" in done.err
    live = {(row.problem, row.method, row.n): (row.answer, row.correct) for row in read_rows(out / "rows.jsonl")}
    assert (
        ponder("replay", str(pool), "--sizes", "1,8", "--methods", "majority,best_of_n,borda,self_certainty").code == 0
    )
    quick = {(row.problem, row.method, row.n): (row.answer, row.correct) for row in read_rows(pool / "rows.jsonl")}
    assert quick == live
    assert len(live) == 12 * 4 * 2


def test_orders_sizes_and_rows_elsewhere(ponder: Command, tmp_path: Path) -> None:
    pool, rows = tmp_path / "pool", tmp_path / "rows.jsonl"
    record(ponder, pool)
    done = ponder("replay", str(pool), "--methods", "majority", "--n", "all", "--orders", "3", "-o", str(rows))
    assert "averaged over 3 orders" in done.out
    assert len(read_rows(rows)) == 12 * 8 * 3
    assert not (pool / "rows.jsonl").exists()
    assert ponder("replay", str(pool / "samples.jsonl"), "--methods", "majority", "--no-rows").code == 0
    slow = ponder("replay", str(pool), "--methods", "self_consistency:early_stop=exact", "--sizes", "8")
    assert slow.code == 0, slow.err
    assert "early_stop=exact" in slow.out


def test_prices_of_a_table_go_into_the_rows(ponder: Command, tmp_path: Path) -> None:
    pool, prices = tmp_path / "pool", tmp_path / "prices.toml"
    record(ponder, pool)
    prices.write_text('[prices."scripted:*"]\nprompt = 0.0\ncompletion = 1e6\n', encoding="utf-8")  # 1 USD a token
    assert ponder("replay", str(pool), "--methods", "majority", "--price-table", str(prices)).code == 0
    rows = read_rows(pool / "rows.jsonl")
    assert rows
    assert all(row.costs["usd"] == row.nominal.completion_tokens for row in rows)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--methods", "universal_self_consistency"), "makes calls that no pool of samples holds"),
        (("--methods", "best_of_n:verifier=constraints"), "ponder record score"),
        (("--methods", "greedy"), "--greedy"),
        (("--sizes", "9"), "at most 8 samples"),
        (("--sizes", "many"), "whole numbers"),
        (("--methods", "nonsense"), "nonsense"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_one_line(
    ponder: Command, tmp_path: Path, more: tuple[str, ...], told: str
) -> None:
    record(ponder, tmp_path / "pool")
    done = ponder("replay", str(tmp_path / "pool"), *more)
    assert done.code == 2
    assert told in done.err
    assert done.err.startswith("ponder: ")
    assert "Traceback" not in done.err


def test_a_pool_that_is_not_there_or_broken_is_named(ponder: Command, tmp_path: Path) -> None:
    assert "cannot read the pool" in ponder("replay", str(tmp_path / "none.jsonl")).err
    pool = tmp_path / "pool"
    record(ponder, pool)
    file = pool / "samples.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([lines[0], '{"v": 2, "problem": "x"}\n', *lines[2:]]))
    assert "samples.jsonl:2: not a recorded answer" in ponder("replay", str(pool)).err


def test_another_law_is_refused(ponder: Command, tmp_path: Path) -> None:
    record(ponder, tmp_path / "pool")
    done = record(ponder, tmp_path / "pool", "--seed", "1")
    assert done.code == 2
    assert "holds another pool" in done.err


def test_import_then_score_then_replay(ponder: Command, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    file = next(FIXTURES.glob("samples_*.jsonl"))
    done = ponder("record", "import", "lm-eval", str(file), "-o", str(pool))
    assert done.code == 0, done.err
    assert "2 problems, 6 samples (3 each, 6 graded)" in done.err
    assert ponder("record", "score", str(pool), "--verifier", "arithmetic").code == 0
    shown = ponder("replay", str(pool), "--no-rows")
    assert "best_of_n by arithmetic" in shown.out
    assert "does not say how many tokens" in shown.out


def test_import_of_rows_with_columns_and_of_inspect(ponder: Command, tmp_path: Path) -> None:
    query = f"{FIXTURES / 'rows.jsonl'}?prompt=question&responses=samples&reference=gold"
    assert ponder("record", "import", "rows", query, "-o", str(tmp_path / "rows")).code == 0
    shown = ponder("replay", str(tmp_path / "rows"), "--methods", "best_of_n:verifier=rm,weighted=true,majority")
    assert shown.code == 0, shown.err
    assert "by rm" in shown.out
    assert ponder("record", "import", "inspect", str(FIXTURES / "inspect.json"), "-o", str(tmp_path / "i")).code == 0
    bad = ponder("record", "import", "lm-eval", str(FIXTURES / "rows.jsonl"), "-o", str(tmp_path / "bad"))
    assert bad.code == 2
    assert "rows.jsonl:1: no column 'doc_id'" in bad.err
    assert ponder("record", "import", "inspect", f"{FIXTURES / 'inspect.json'}?a=b").code == 2
