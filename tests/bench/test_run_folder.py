from __future__ import annotations

import asyncio

import pytest

from ponder.bench.rows import read_candidates, read_rows
from ponder.bench.run_folder import RunFolder
from ponder.bench.runner import run_job
from ponder.core.errors import BadInput, ConfigError, RequestRefused
from ponder.core.result import total
from ponder.core.seeds import derive
from ponder.models.scripted import ScriptedModel
from tests.bench.bench_doubles import small_reply
from tests.bench.job_worlds import INFO, facts, job, small


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


def refusing(spec):
    """Refuse some of the samples: the provider gives no answer to them, whatever is asked later."""

    def reply(request, number):
        refused = derive(request.seed, "refused").random() < 0.2
        return RequestRefused("not this one", status=400) if refused else small_reply(request, number)

    return ScriptedModel(replies=reply, name="small", info=INFO)


def test_runs_with_failed_answers_are_made_again_where_that_is_asked_for(tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    asyncio.run(run_job(job(), whole, opener=small))
    first = asyncio.run(run_job(job(), part, opener=refusing))
    failed = [row for row in read_rows(part / "rows.jsonl") if row.failed]
    lost = {(row.problem, c.index) for row in failed for c in read_candidates(part / "candidates.jsonl") if c.error}
    assert first.done == 24
    assert 0 < len(failed) < 24
    same = asyncio.run(run_job(job(), part, opener=small))
    assert (same.before, same.taken_out, dict(same.paid)) == (24, 0, {})
    again = asyncio.run(run_job(job(), part, opener=small, retry_failed=True))
    assert (again.before, again.taken_out, again.done) == (24 - len(failed), len(failed), 24)
    assert 0 < total(again.paid).calls <= len(lost)  # nothing but what had failed
    assert facts(part) == facts(whole)


def test_a_kill_while_runs_are_taken_out_leaves_no_answer_without_its_row(tmp_path, monkeypatch):
    whole, part = tmp_path / "whole", tmp_path / "part"
    asyncio.run(run_job(job(), whole, opener=small))
    asyncio.run(run_job(job(), part, opener=refusing))

    def killed(self):
        raise BadInput("killed")

    monkeypatch.setattr(RunFolder, "_cut_orphans", killed)
    with pytest.raises(BadInput, match="killed"):
        RunFolder(part, job(), job().problems(), retry_failed=True)
    monkeypatch.undo()
    asyncio.run(run_job(job(), part, opener=small))
    assert facts(part) == facts(whole)
