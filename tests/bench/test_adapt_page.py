"""The study of a comparison: findings in words, tables, pictures with the domains' borders."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ponder.bench.adapt_bench import compare_adapters, read_method
from ponder.bench.adapt_page import adapt_study
from ponder.bench.studies.page import write_study
from ponder.bench.svg_plot import COLOURS
from ponder.tasks.streams import Domain
from tests.bench.test_adapt_bench import subject

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def test_the_page_and_tables_hold_the_numbers(tmp_path: Path) -> None:
    found = compare_adapters(subject(), [read_method("source"), read_method("tent")], ["continual"], batch=16)
    page = write_study(adapt_study(found.to_dict()), tmp_path).read_text(encoding="utf-8")
    assert "<polyline" in page
    assert "tent" in page
    body = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert body["rows"][1]["method"] == "tent"
    assert body["rows"][1]["error"][0] == pytest.approx(found.rows[1].runs[0].error)
    assert "| source |" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_many_methods_are_drawn_in_several_pictures_with_source_in_each() -> None:
    names = ["source", *(f"tent:lr={number}" for number in range(1, 8))]
    found = compare_adapters(subject(), [read_method(name) for name in names], ["continual"], samples=16)
    pictures = adapt_study(found.to_dict()).sections[0].pictures
    assert [picture.labels for picture in pictures] == [tuple(names[:COLOURS]), ("source", *names[COLOURS:])]


def lines_of(found: Any) -> tuple[str, ...]:
    return adapt_study(found.to_dict()).sections[0].lines


def test_methods_that_do_the_same_are_named() -> None:
    found = compare_adapters(subject(), [read_method("source"), read_method("tent:lr=0")], ["mixed"])
    assert "Nearly the predictions of source, fewer than 1 % differ: tent:lr=0." in lines_of(found)
    assert found.to_dict()["rows"][1]["alike"] == ["source", 0.0]


def test_domains_are_told_in_the_order_of_the_subject_and_their_borders_are_drawn() -> None:
    found = compare_adapters(subject(), [read_method("source")], ["mixed", "continual"], batch=16, seeds=(5,)).to_dict()
    mixed, continual = found["rows"]
    assert list(mixed["domain_errors"]) == list(continual["domain_errors"]) == ["a", "b"]
    assert (mixed["domains"], continual["domains"]) == ([], [["a", 60], ["b", 60]])
    glance, shuffled, blocks = adapt_study(found).sections
    assert glance.tables[0].head == ("method", "mixed", "continual")
    assert "1 a, 2 b" in blocks.pictures[0].caption
    assert "Domains" not in shuffled.pictures[0].caption
    assert "<title>2: b</title>" in blocks.pictures[0].svg


def test_a_gain_that_is_not_sure_has_a_mark_at_a_glance() -> None:
    methods = [read_method(text) for text in ("source", "tent:lr=0", "tent:lr=100")]
    found = compare_adapters(subject(), methods, ["mixed", "sorted"], batch=16)
    rows = {cells[0]: cells[1:] for cells in adapt_study(found.to_dict()).sections[0].tables[0].rows}
    assert rows["tent:lr=0"][0].endswith("(+0.0?)")
    assert not rows["tent:lr=100"][1].endswith("?)"), "it has collapsed"


def test_severities_of_one_kind_are_one_stretch_where_there_are_many() -> None:
    one = subject()
    names = [f"{kind} {level}" for kind in ("fog", "snow") for level in range(1, 10)]
    parts = [Domain(name=name, x=one.domains[0].x[:5], y=one.domains[0].y[:5]) for name in names]
    found = compare_adapters(replace(one, domains=tuple(parts)), [read_method("source")], ["continual"], batch=5)
    assert "Domains: 1 fog, 2 snow." in adapt_study(found.to_dict()).sections[0].pictures[0].caption
    few = compare_adapters(replace(one, domains=tuple(parts[:3])), [read_method("source")], ["continual"], batch=5)
    assert "1 fog 1, 2 fog 2, 3 fog 3" in adapt_study(few.to_dict()).sections[0].pictures[0].caption
