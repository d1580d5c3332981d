"""The majority of k samples."""

from __future__ import annotations

import pytest

from ponder.bench.metrics.cons_at_k import ConsAtK
from tests.bench.metrics.metric_doubles import graded_row


def at(k: int, *rows: object) -> float | None:
    (found,) = ConsAtK(ks=(k,)).compute(list(rows))  # type: ignore[arg-type]
    return found.value


def test_majority_wins_with_all_and_a_single_sample_is_pass_at_1() -> None:
    row = graded_row("a", "1101")
    assert at(4, row) == 1.0
    assert at(1, row) == pytest.approx(0.75)


def test_wrong_majority_loses_however_many_are_right() -> None:
    assert at(5, graded_row("a", "11000")) == 0.0


def test_wrong_answers_that_differ_do_not_gang_up() -> None:
    assert at(5, graded_row("a", "11000", groups="rrabc")) == 1.0


def test_right_answers_of_different_groups_both_count() -> None:
    assert at(3, graded_row("a", "110", groups="rsx")) == pytest.approx(2 / 3)


def test_samples_without_an_answer_do_not_vote() -> None:
    assert at(3, graded_row("a", "100", groups="r--")) == 1.0
