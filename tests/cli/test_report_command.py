from __future__ import annotations

from pathlib import Path

import pytest

from ponder.bench.rows import append_rows
from tests.bench.test_tune import a_model, recorded
from tests.cli.command import Command


@pytest.fixture
async def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    append_rows(folder / "rows.jsonl", await recorded(a_model()))
    return folder


def test_a_report_is_written_with_its_pictures_and_tables(ponder: Command, runs: Path, tmp_path: Path) -> None:
    page, tables = tmp_path / "r.html", tmp_path / "r.md"
    done = ponder("report", str(runs), "-o", str(page), "--figures", str(tmp_path / "p"), "--markdown", str(tables))
    assert (done.code, done.out) == (0, "")
    assert "360 runs" in done.err
    assert "3 pictures" in done.err
    assert "<h2>What nothing else beats</h2>" in page.read_text()
    assert tables.read_text().startswith("# What the runs say")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere"], "cannot read"),
        (["RUNS", "--family", "none"], "no row"),
        (["RUNS", "-o", "/no/where.html"], "cannot write"),
    ],
)
def test_what_cannot_be_reported_is_said_in_one_line(ponder: Command, runs: Path, args: list[str], said: str) -> None:
    done = ponder("report", *[str(runs) if arg == "RUNS" else arg for arg in args])
    assert done.code == 2
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
