"""Rows of a comparison: intervals over seeds, and tables for other programs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ponder.bench.adapt_bench import compare_adapters, read_method
from ponder.bench.adapt_rows import Comparison, Row, judged, write_tables
from ponder.core.errors import BadInput
from ponder.engines.online_cost import Cost
from ponder.engines.online_run import OnlineRun
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


def made(*methods: tuple[str, int, int]) -> Comparison:
    """Source, right on the first 100 of 200 samples, and methods right on all from one sample up to another."""
    rows: list[Row] = []
    for name, first, last in (("source", 0, 100), *methods):
        run = OnlineRun(
            predictions=tuple(range(200)) if name == "source" else (first,) * 200,
            confidences=(0.5,) * 200,
            right=tuple(first <= at < last for at in range(200)),
            domains=("d",) * 200,
            cost=Cost(samples=200, seconds=1.0 if name == "source" else 3.0),
            wall=1.0,
            state_bytes=0,
            graph_bytes=0,
        )
        rows.append(judged(Row(method=name, stream="mixed", runs=(run,)), rows[0] if rows else None))
    return Comparison(
        subject="net",
        facts=(),
        rows=tuple(rows),
        planned=len(rows),
        domains=("d",),
        samples={"mixed": 200},
        seeds=(0,),
        batch=10,
    )


def test_the_leader_has_the_fewest_errors_and_others_are_measured_against_it() -> None:
    rows = {row["method"]: row for row in made(("good", 0, 160), ("near", 0, 158), ("some", 0, 120)).to_dict()["rows"]}
    assert [name for name, row in rows.items() if row["leads"]] == ["good"]
    assert rows["good"]["behind"] is None
    assert rows["near"]["behind"][0] == pytest.approx(0.01)
    assert rows["near"]["behind"][1] < 0 < rows["near"]["behind"][2]
    assert rows["some"]["behind"][1] > 0
    assert rows["source"]["behind"][0] == pytest.approx(rows["good"]["gain"][0])


def test_nobody_leads_who_is_not_better_than_the_source_beyond_doubt() -> None:
    rows = made(("lucky", 1, 102), ("worse", 0, 50)).to_dict()["rows"]
    assert rows[1]["error"] < rows[0]["error"]
    assert not any(row["leads"] or row["behind"] for row in rows)
