"""Samples after the first right one, and right ones that were left."""

from __future__ import annotations

import pytest

from ponder.bench.metrics.thinking_economy import ThinkingEconomy
from tests.bench.bench_doubles import row
from tests.bench.metrics.metric_doubles import graded_row


def measured(*rows: object) -> dict[str, float | None]:
    return {measure.name: measure.value for measure in ThinkingEconomy().compute(list(rows))}  # type: ignore[arg-type]


def test_samples_are_the_unit_of_all_three() -> None:
    found = measured(graded_row("a", "0100", groups="abcc"), graded_row("b", "1111"))
    assert found == {
        "underthinking": 0.5,  # of the wrong run alone: right at sample 2 of 4, and lost
        "outcome_efficiency": pytest.approx((2 / 4 + 1 / 4) / 2),
        "process_efficiency": pytest.approx((3 / 4 + 1 / 4) / 2),
    }


def test_run_that_was_never_right_counts_in_the_outcome() -> None:
    found = measured(graded_row("a", "00"))
    assert (found["underthinking"], found["outcome_efficiency"]) == (0.0, 0.0)


def test_only_right_runs_leave_underthinking_missing() -> None:
    assert measured(graded_row("a", "11"))["underthinking"] is None


def test_rows_without_samples_are_missing() -> None:
    assert set(measured(row("a", True)).values()) == {None}
