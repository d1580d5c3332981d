from __future__ import annotations

from pathlib import Path

import pytest

from ponder.core.errors import BadInput
from ponder.core.trace import Event, Trace, parse_lines, read_trace


def test_file_holds_the_same_events_while_the_run_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    seen: list[Event] = []
    trace = Trace(file)
    trace.watch(seen.append)
    run = trace.open("run", method="m")
    trace.instant("score", run, value=1.5, text='line\nbreak "quoted" \ud800')
    assert [e.kind for e in read_trace(file)] == ["run", "score"]
    trace.close(run, "run", usage={})
    trace.end()
    assert [(e.id, e.parent, e.kind, e.phase) for e in read_trace(file)] == [
        (1, 0, "run", "open"),
        (2, 1, "score", "instant"),
        (1, 0, "run", "close"),
    ]
    assert seen == trace.events
    assert read_trace(file)[1].data["text"] == 'line\nbreak "quoted" \ud800'


def test_last_line_cut_by_a_killed_process_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    trace = Trace(file)
    trace.instant("a")
    trace.instant("b")
    trace.end()
    file.write_text(file.read_text()[:-9])
    assert [e.kind for e in read_trace(file)] == ["a"]


def test_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text("{}\n" + Event(1, 0, 0.0, "a", "instant", {}).to_line() + "\n")
    with pytest.raises(BadInput, match=":1:"):
        read_trace(file)


def test_other_schema_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text(Event(1, 0, 0.0, "a", "instant", {}).to_line().replace('"v": 1', '"v": 7') + "\n\n")
    with pytest.raises(BadInput, match="schema 7"):
        read_trace(file)


def test_file_in_a_missing_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot write the trace"):
        Trace(tmp_path / "no" / "t.jsonl")


def test_full_disk_keeps_the_events_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    trace = Trace("/dev/full")
    trace.instant("a")
    trace.instant("b")
    trace.end()
    assert [e.kind for e in trace.events] == ["a", "b"]
    assert trace.file_error is not None
    assert "No space" in trace.file_error
    assert len(caplog.records) == 1


def test_an_id_may_be_given_and_lines_are_read_from_anywhere():
    trace = Trace(id="run-7")
    trace.close(trace.open("run", method="m"), "run")
    assert trace.id == "run-7"
    assert Trace().id != Trace().id
    lines = [event.to_line() for event in trace.events]
    assert [event.kind for event in parse_lines([*lines, "", lines[0][:20]], "here")] == ["run", "run"]
    with pytest.raises(BadInput, match="here:1: not a line of a trace"):
        parse_lines(["[]", lines[0]], "here")
