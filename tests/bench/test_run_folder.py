from __future__ import annotations

import asyncio

import pytest

from ponder.bench.run_folder import RunFolder
from ponder.bench.runner import run_job
from ponder.core.errors import BadInput, ConfigError
from tests.bench.job_worlds import facts, job, small


@pytest.fixture
def folder(tmp_path):
    asyncio.run(run_job(job(), tmp_path, opener=small))
    return tmp_path


def test_candidates_whose_row_is_missing_are_cut_and_come_again(folder):
    before = facts(folder)
    rows = folder / "rows.jsonl"
    lines = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])  # killed while the last row was written
    with RunFolder(folder, job(), job().problems()) as opened:
        assert len(opened.done) == len(lines) - 1
    assert len(facts(folder)[0]) == len(lines) - 1
    asyncio.run(run_job(job(), folder, opener=small))
    assert facts(folder) == before


def test_other_problems_are_refused(folder):
    file = folder / "problems.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace('"reference": "', '"reference": "1'), encoding="utf-8")
    with pytest.raises(ConfigError, match="is another one now"):
        RunFolder(folder, job(), job().problems())


def test_what_is_no_run_folder_is_refused(folder, tmp_path):
    (folder / "job.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadInput, match="is no job"):
        RunFolder(folder, job(), [])
    (folder / "job.json").unlink()
    with pytest.raises(BadInput, match=r"no job\.json"):
        RunFolder(folder, job(), [])
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match="cannot use the folder"):
        RunFolder(tmp_path / "file" / "below", job(), [])


def test_a_line_that_is_no_row_is_named(folder):
    with open(folder / "rows.jsonl", "a", encoding="utf-8") as file:
        file.write("[]\n")
    with pytest.raises(BadInput, match="not a row of this schema"):
        RunFolder(folder, job(), job().problems())
