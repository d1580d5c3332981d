"""Metrics of one class: the card's numbers, brute force, and classes without an area."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.multi_label import class_metrics, macro_mean


def test_numbers_of_the_card() -> None:
    labels, scores = [1, 0, 1, 0, 0, 1], [0.9, 0.8, 0.7, 0.3, 0.2, 0.1]
    found = class_metrics(labels, scores)
    assert (found.area, found.f1, found.threshold) == pytest.approx((55.5556, 66.6667, 0.1), abs=1e-4)
    assert found.accuracy == pytest.approx(50)
    assert class_metrics(labels, scores, parity="released").accuracy == pytest.approx(33.3333, abs=1e-4)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=12))
def test_best_f1_is_that_of_a_scan(pairs: list[tuple[int, int]]) -> None:
    labels, scores = [y for y, _ in pairs], [float(s) for _, s in pairs]

    def f1(threshold: float) -> float:
        hits = sum(y for y, s in zip(labels, scores, strict=True) if s >= threshold)
        taken = sum(s >= threshold for s in scores)
        return 2 * hits / (taken + sum(labels)) if hits else 0.0

    best = max(f1(t) for t in sorted(set(scores)))
    found = class_metrics(labels, scores)
    assert found.f1 == pytest.approx(100 * best)
    assert found.threshold == min(t for t in set(scores) if f1(t) == pytest.approx(best))


def test_one_label_value_has_no_area() -> None:
    assert class_metrics([1, 1], [0.2, 0.4]).area is None
    assert macro_mean([None, 40.0, 60.0]) == 50
    assert macro_mean([None]) is None


def test_lengths_must_agree() -> None:
    with pytest.raises(BadInput):
        class_metrics([1], [])
    with pytest.raises(BadInput):
        class_metrics([], [])
