"""Comparisons of adapters in a report: told from other folders, and drawn as sections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ponder.bench.adapt_page import adapt_study
from ponder.bench.adapt_report import read_comparisons, with_comparisons
from ponder.bench.studies.page import Section, Study, render_page, write_study
from ponder.core.errors import BadInput


def comparison(subject: str) -> dict[str, Any]:
    """What a bench writes that has been stopped before any method could run."""
    row: dict[str, Any] = {
        "method": "tent",
        "stream": "mixed",
        "why_not": "no norm",
        "error": None,
        "gain": None,
        "means": {},
    }
    row |= {"domain_errors": {}, "alike": None, "stretch": 1, "curve": [], "domains": [], "runs": []}
    head: dict[str, Any] = {
        "subject": subject,
        "facts": ["a net"],
        "planned": 2,
        "domains": ["d"],
        "samples": {"mixed": 9},
    }
    return {**head, "seeds": [0], "batch": 3, "reset": "never", "device": "cpu", "rows": [row]}


def written(folder: Path, subject: str) -> Path:
    folder.mkdir()
    write_study(adapt_study(comparison(subject)), folder)
    return folder


def test_only_folders_of_the_bench_are_read(tmp_path: Path) -> None:
    ours = written(tmp_path / "ours", "net")
    other = tmp_path / "other"
    other.mkdir()
    (other / "table.json").write_text('{"study": "sleep-time"}', encoding="utf-8")
    found = read_comparisons([other, ours, tmp_path / "none"])
    assert list(found) == [ours]
    assert found[ours]["subject"] == "net"
    (other / "table.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match="cannot read"):
        read_comparisons([other])
    (other / "table.json").write_text('{"study": "adapt", "rows": []}', encoding="utf-8")
    with pytest.raises(BadInput, match="older"):
        read_comparisons([other])


def test_one_is_its_own_page_and_several_stand_side_by_side() -> None:
    one, two = comparison("first"), comparison("second")
    assert with_comparisons(None, [one]).title == adapt_study(one).title
    both = with_comparisons(None, [one, two])
    titles = [section.title for section in both.sections]
    assert titles == ["first: all streams", "first: mixed", "second: all streams", "second: mixed"]
    assert "tent did not run: no norm" in render_page(both)


def test_they_come_behind_what_a_report_says_already() -> None:
    study = Study(name="report", title="Runs", facts=(), sections=(Section(title="curves"),), notes=("n",), data={})
    assert with_comparisons(study, []) is study
    more = with_comparisons(study, [comparison("net")])
    assert [section.title for section in more.sections] == ["curves", "net: all streams", "net: mixed"]
    assert more.notes[0] == "n"
    assert "Adaptation: " in more.notes[1]
