"""Rows of a comparison: intervals over seeds, and tables for other programs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ponder.bench.adapt_bench import compare_adapters, read_method
from ponder.bench.adapt_rows import write_tables
from ponder.core.errors import BadInput
from tests.bench.test_adapt_bench import subject

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def test_seeds_are_averaged_and_are_no_more_samples() -> None:
    one, three = (compare_adapters(subject(), [read_method("source")], ["mixed"], seeds=range(n)) for n in (1, 3))
    assert one.rows[0].error == three.rows[0].error, "the same predictions three times over tell no more"


def test_one_table_has_a_line_for_each_run_and_one_for_each_domain(tmp_path: Path) -> None:
    methods = [read_method(text) for text in ("source", "guard+tent", "t3_merging")]
    found = compare_adapters(subject(), methods, ["mixed", "sorted"], batch=16, seeds=(0, 1))
    files = write_tables(found.to_dict(), tmp_path)
    runs, domains = (list(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) for file in files)
    assert (len(runs), len(domains)) == (8, 16), "what did not run has no line"
    line = next(
        line for line in runs if (line["method"], line["stream"], line["seed"]) == ("guard+tent", "sorted", "1")
    )
    assert float(line["error"]) == pytest.approx(found.rows[4].runs[1].error)
    assert line["alarms"] == "0"
    assert next(line for line in runs if line["method"] == "source")["alarms"] == ""
    ours = [line for line in domains if (line["method"], line["stream"], line["seed"]) == ("source", "mixed", "0")]
    assert sum(int(line["samples"]) for line in ours) == 120
    wrong = sum(int(line["samples"]) * float(line["error"]) for line in ours)
    assert wrong == pytest.approx(found.rows[0].runs[0].right.count(False))
    with pytest.raises(BadInput, match="cannot write"):
        write_tables(found.to_dict(), tmp_path / "none")
