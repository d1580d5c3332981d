from __future__ import annotations

import random
import sqlite3
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.bench.job import Grid
from ponder.bench.rows import read_rows
from ponder.bench.run_folder import RunFolder
from ponder.bench.runner import run_job
from ponder.bench.traces import Traces, pack, read_packed, unpack
from ponder.core.errors import BadInput
from ponder.core.trace import Event, Trace
from tests.bench.job_worlds import facts, job, small

NOISE = random.Random(0)


def events(count: int, length: int = 10) -> list[Event]:
    """A run with calls whose texts do not compress."""
    trace = Trace()
    run = trace.open("run", method="m", settings={})
    for index in range(count):
        text = "".join(NOISE.choices(string.ascii_letters, k=length))
        trace.close(trace.open("call", run, index=index), "call", run, index=index, text=text)
    trace.close(run, "run", stopped="done")
    return trace.events


def body(packed: bytes) -> bytes:
    return packed.partition(b"\n")[2]


def seen(found: list[Event]) -> list[tuple[int, str, str, dict[str, object]]]:
    return [(event.id, event.kind, event.phase, dict(event.data)) for event in found]


@given(count=st.integers(0, 30), length=st.integers(0, 300))
def test_what_is_packed_comes_back(count, length):
    told = events(count, length)
    assert seen(unpack(body(pack(told)))) == seen(told)


@given(count=st.integers(0, 200), length=st.integers(0, 3000), most=st.integers(2000, 50_000))
def test_a_long_trace_is_bounded_keeps_its_ends_and_says_what_is_missing(count, length, most):
    told = events(count, length)
    found = unpack(body(pack(told, most=most)))
    assert sum(len(event.to_line()) + 1 for event in found) <= most
    left_out = [event.data["events"] for event in found if event.kind == "left_out"]
    assert len(found) - len(left_out) + sum(left_out) == len(told)
    assert (found[0].kind, found[-1].kind) == ("run", "run")
    places = [(event.id, event.phase) for event in found if event.kind != "left_out"]
    assert places == [place for place in ((event.id, event.phase) for event in told) if place in places]


def test_texts_are_shortened_before_events_are_left_out():
    found = unpack(body(pack(events(4, 9000), most=8000)))
    assert len(found) == 10
    assert all(
        "more characters" in event.data["text"] for event in found if event.kind == "call" and "text" in event.data
    )


def test_a_trace_is_replaced_and_the_file_is_bounded(tmp_path, caplog):
    file = tmp_path / "traces.sqlite"
    first, second = pack(events(2)), pack(events(3))
    traces = Traces(file, limit=2000)
    assert traces.put("a", first)
    assert traces.put("a", second)
    traces.close()
    again = Traces(file, limit=2000)
    assert again.size == len(body(second))
    assert not again.put("b", pack(events(50, 500)))
    assert not again.put("c", first)  # nothing more, so that what is kept does not depend on sizes
    assert "2,000 bytes" in (again.error or "")
    again.close()
    assert set(read_packed(file, ["a", "b", "c"])) == {"a"}
    assert len(read_packed(file, ["a"])["a"]) == 8
    assert len([line for line in caplog.messages if "no more traces" in line]) == 1


def test_files_that_are_no_traces_are_said(tmp_path):
    file = tmp_path / "traces.sqlite"
    file.write_text("no database " * 100)
    with pytest.raises(BadInput, match="cannot use the traces"):
        Traces(file)
    with pytest.raises(BadInput, match="cannot read the traces"):
        read_packed(file, ["a"])
    with pytest.raises(BadInput, match="cannot read the traces"):
        read_packed(tmp_path / "none", ["a"])
    assert not (tmp_path / "none").exists()
    with pytest.raises(BadInput, match="cannot be read"):
        unpack(b"text")


async def test_a_job_keeps_the_trace_of_each_run(tmp_path):
    await run_job(job(), tmp_path, opener=small)
    rows = read_rows(tmp_path / "rows.jsonl")
    assert all(row.result == row.run for row in rows)
    traces = read_packed(tmp_path / "traces.sqlite", [row.run for row in rows])
    for row in rows:
        told = traces[row.run]
        calls = [event for event in told if (event.kind, event.phase) == ("call", "close")]
        scores = [event for event in told if event.kind == "score"]
        assert len(calls) == row.candidates
        assert len(scores) == (row.candidates if row.verifier else 0)
        assert told[0].data["method"] == row.method
        assert told[-1].data["answer"] == row.answer


async def test_without_traces_rows_name_none(tmp_path):
    await run_job(job(), tmp_path, opener=small, traces=False)
    assert {row.result for row in read_rows(tmp_path / "rows.jsonl")} == {""}
    assert not (tmp_path / "traces.sqlite").exists()


async def test_a_job_that_goes_on_keeps_its_traces(tmp_path):
    methods = (Grid(method="self_consistency", settings={"n": (2,)}),)
    await run_job(job(methods=methods), tmp_path, opener=small)
    first = [row.run for row in read_rows(tmp_path / "rows.jsonl")]
    before = read_packed(tmp_path / "traces.sqlite", first)
    await run_job(job(methods=methods, count=6), tmp_path, opener=small)
    assert len(first) == len(before) == 4
    assert len(read_packed(tmp_path / "traces.sqlite", [r.run for r in read_rows(tmp_path / "rows.jsonl")])) == 6
    assert read_packed(tmp_path / "traces.sqlite", first) == before


async def test_a_full_file_of_traces_does_not_stop_the_job(tmp_path):
    await run_job(job(), tmp_path / "whole", opener=small)
    whole, _ = facts(tmp_path / "whole")
    with RunFolder(tmp_path / "part", job(), job().problems(), trace_limit=0) as folder:
        for row in whole.values():
            folder.write(row, [], pack(events(1)))
        assert "no more traces" in folder.untraced
    assert {row.result for row in read_rows(tmp_path / "part" / "rows.jsonl")} == {""}


async def test_a_trace_without_its_row_is_written_over(tmp_path):
    await run_job(job(), tmp_path, opener=small)
    rows = tmp_path / "rows.jsonl"
    lines = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(b"".join(lines[:-1]))
    await run_job(job(), tmp_path, opener=small)
    with sqlite3.connect(tmp_path / "traces.sqlite") as db:
        (count,) = db.execute("SELECT count(*) FROM traces").fetchone()
    db.close()
    assert count == len(lines) == len(read_rows(rows))
