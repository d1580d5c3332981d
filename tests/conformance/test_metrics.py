"""One battery over every registered metric."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.bench.metrics.metric import Measure, Metric
from ponder.bench.rows import Row
from ponder.core import registry
from ponder.core.registry import Entry, parameters
from tests.bench.metrics.metric_doubles import bench

ROWS = bench(6)
ENTRIES = registry.metrics.entries()
every_metric = pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])


def measures(entry: Entry, rows: list[Row]) -> list[Measure]:
    metric: Metric = entry.make()
    found = metric.compute(rows)
    for measure in found:
        assert measure.value is not None or measure.note, f"{measure.name} has neither a value nor a reason"
        assert measure.value is None or math.isfinite(measure.value)
        assert measure.interval is None or measure.interval[0] <= measure.interval[1]
        assert measure.unit
    names = [(measure.name, measure.group) for measure in found]
    assert len(set(names)) == len(names)
    return found


@every_metric
def test_no_rows_give_no_measures(entry: Entry) -> None:
    assert measures(entry, []) == []


@every_metric
@pytest.mark.parametrize("at", range(3))
def test_one_row_is_measured_or_missing(entry: Entry, at: int) -> None:
    assert measures(entry, ROWS[at : at + 1])


@every_metric
def test_what_was_not_graded_is_missing_and_not_wrong(entry: Entry) -> None:
    bare = [replace(row, correct=None, evidence=None) for row in ROWS]
    found = measures(entry, bare)
    assert found
    assert {measure.value for measure in found} == {None}


@every_metric
def test_rows_of_partial_grades_do_not_break_it(entry: Entry) -> None:
    assert measures(entry, [replace(row, correct=None) if at % 2 else row for at, row in enumerate(ROWS)])
    assert measures(entry, [replace(row, evidence=None) if at % 3 else row for at, row in enumerate(ROWS)])


@settings(max_examples=10)
@given(order=st.permutations(range(len(ROWS))))
@every_metric
def test_order_of_the_rows_does_not_matter(entry: Entry, order: list[int]) -> None:
    assert measures(entry, [ROWS[at] for at in order]) == measures(entry, ROWS)


@every_metric
def test_names_of_the_questions_do_not_move_the_values(entry: Entry) -> None:
    renamed = [replace(row, problem=f"q{9 - int(row.problem[1:])}") for row in ROWS]
    left, right = measures(entry, ROWS), measures(entry, renamed)
    assert [(m.name, m.group) for m in left] == [(m.name, m.group) for m in right]
    for before, after in zip(left, right, strict=True):
        assert before.value == after.value or math.isclose(before.value or 0, after.value or 0, rel_tol=1e-9)


@every_metric
def test_measures_are_json(entry: Entry) -> None:
    for measure in measures(entry, ROWS):
        body = measure.to_json()
        assert json.loads(json.dumps(body, allow_nan=False)) == body


@every_metric
def test_metric_survives_a_round_trip_of_its_settings(entry: Entry) -> None:
    metric = entry.make()
    assert entry.make(**json.loads(json.dumps(parameters(metric)))) == metric


@every_metric
def test_families_and_models_are_kept_apart(entry: Entry) -> None:
    other = [replace(row, family="puzzles", model="large", problem=f"other {row.problem}") for row in ROWS]
    both = measures(entry, [*ROWS, *other])
    assert [m for m in both if m.group.family == "stories"] == measures(entry, ROWS)
