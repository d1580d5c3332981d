from __future__ import annotations

import json

import pytest

from ponder.bench.rows import CandidateRow, Row, append_rows, read_candidates, read_rows
from ponder.core.errors import BadInput
from ponder.core.usage import Usage
from ponder.planning.difficulty import Evidence
from tests.bench.bench_doubles import row


def test_row_round_trips_through_json():
    made = row("a", True, settings={"n": 4, "early_stop": "none"}, n=4, verifier="arithmetic")
    assert Row.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_rows_are_appended_and_read_back(tmp_path):
    file = tmp_path / "rows.jsonl"
    append_rows(file, [row("a", True)])
    append_rows(file, [row("b", None)])
    assert read_rows(file) == [row("a", True), row("b", None)]


def test_read_rows_leaves_out_a_last_line_that_was_cut(tmp_path):
    file = tmp_path / "rows.jsonl"
    append_rows(file, [row("a", True), row("b", False)])
    text = file.read_text()
    file.write_text(text[:-30])
    assert read_rows(file) == [row("a", True)]


@pytest.mark.parametrize("line", ['{"v": 99}', "[]", '{"v": 1, "problem": "a"}', "no json"])
def test_read_rows_names_the_bad_line(tmp_path, line):
    file = tmp_path / "rows.jsonl"
    file.write_text(f"{json.dumps(row('a', True).to_json())}\n{line}\n")
    with pytest.raises(BadInput, match=r"rows\.jsonl:2"):
        read_rows(file)


def test_rows_that_cannot_be_written_or_read_are_bad_input(tmp_path):
    with pytest.raises(BadInput, match="cannot write"):
        append_rows(tmp_path / "missing" / "rows.jsonl", [row("a", True)])
    with pytest.raises(BadInput, match="cannot read"):
        read_rows(tmp_path / "missing.jsonl")


def test_self_graded_is_said_only_where_the_verifier_is_the_grader():
    assert row("a", True, verifier="constraints", grader="constraints").self_graded
    assert not row("a", True, verifier="arithmetic").self_graded
    assert not row("a", True, grader="constraints").self_graded


def test_rows_of_schema_1_are_read():
    body = row("a", True).to_json()
    for name in ("run", "judging", "budget", "level", "costs", "roles"):
        del body[name]
    assert Row.from_json({**body, "v": 1}) == row("a", True)


def test_candidates_round_trip_and_keep_infinite_scores(tmp_path):
    file = tmp_path / "candidates.jsonl"
    made = CandidateRow(
        run="r", problem="p", index=1, answer="4", group=0, correct=True, finish="stop", usage=Usage(calls=1),
        scores={"judge": float("-inf"), "other": None}, certainty=1.5, text="It is 4.",
    )  # fmt: skip
    append_rows(file, [made, CandidateRow(run="r", problem="p", index=2, error="gone")])
    assert "Infinity" not in file.read_text(encoding="utf-8")
    assert read_candidates(file) == [made, CandidateRow(run="r", problem="p", index=2, error="gone")]


def test_evidence_with_infinite_scores_is_json_all_the_same(tmp_path):
    file = tmp_path / "rows.jsonl"
    made = row("a", True, evidence=Evidence(groups=(0, None), scores=(float("inf"), None)))
    append_rows(file, [made])
    assert "Infinity" not in file.read_text(encoding="utf-8")
    assert read_rows(file) == [made]
