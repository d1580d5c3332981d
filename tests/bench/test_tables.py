from __future__ import annotations

import json

import pytest

from ponder.bench.rows import append_rows, read_candidates, read_rows
from ponder.bench.runner import run_job
from ponder.bench.tables import frame, relation
from ponder.core.errors import BadInput
from tests.bench.bench_doubles import row
from tests.bench.job_worlds import job, small


async def test_a_relation_and_a_frame_hold_what_the_files_hold(tmp_path):
    await run_job(job(), tmp_path, opener=small)
    rows, candidates = read_rows(tmp_path / "rows.jsonl"), read_candidates(tmp_path / "candidates.jsonl")
    runs, answers = frame(tmp_path), frame(tmp_path, "candidates")
    assert runs["run"].to_list() == [row.run for row in rows]
    assert runs["correct"].to_list() == [row.correct for row in rows]
    assert [json.loads(text) for text in runs["settings"]] == [row.settings for row in rows]
    assert answers["certainty"].to_list() == [row.certainty for row in candidates]
    found = relation(tmp_path).project("run, n, seconds, settings->>'n' AS asked, usage->'policy'->>'calls' AS calls")
    for run, n, seconds, asked, calls in found.fetchall():
        made = next(row for row in rows if row.run == run)
        assert (n, seconds, int(asked), int(calls)) == (made.n, made.seconds, made.n, made.usage["policy"].calls)
    found = relation(tmp_path, "candidates").filter("correct").aggregate("count(*)")
    assert found.fetchall()[0][0] == sum(bool(row.correct) for row in candidates)


def test_columns_have_one_type_whatever_the_rows_hold(tmp_path):
    file = tmp_path / "rows.jsonl"
    append_rows(file, [row("a", None, settings={"n": 1}), row("b", True, settings={"width": "x"}, level=2.0)])
    assert frame(file).schema == frame(file).clear().schema
    assert relation(file).project("level").fetchall() == [(None,), (2.0,)]
    assert frame(file)["level"].to_list() == [None, 2.0]


def test_a_missing_file_or_another_kind_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="no file"):
        frame(tmp_path)
    with pytest.raises(BadInput, match="rows and candidates"):
        relation(tmp_path, "texts")  # type: ignore[arg-type]
