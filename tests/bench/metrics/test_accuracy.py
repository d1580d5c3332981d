"""Accuracy of places."""

from __future__ import annotations

import pytest

from ponder.bench.metrics.accuracy import Accuracy
from tests.bench.bench_doubles import row


def test_accuracy_is_the_share_of_graded_runs() -> None:
    rows = [row("a", True), row("b", False), row("c", True), row("d", None)]
    (found,) = Accuracy().compute(rows)
    assert found.value == pytest.approx(2 / 3)
    assert found.prompts == 3
    assert found.note == "1 runs without a grade left out"
    assert found.interval is not None


def test_accuracy_without_grades_is_missing() -> None:
    (found,) = Accuracy().compute([row("a", None)])
    assert (found.value, found.note) == (None, "no run has a grade")


def test_places_of_a_curve_are_measured_apart() -> None:
    found = Accuracy().compute([row("a", True, n=8), row("a", False, n=1)])
    assert [(measure.group.n, measure.value) for measure in found] == [(1, 0.0), (8, 1.0)]
