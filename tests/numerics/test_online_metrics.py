"""Metrics of streams: the worked numbers of card 00, missing values, bad input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.numerics.online_metrics import (
    calibration_drift,
    dominant_share,
    error_by,
    error_rate,
    mean_corruption_error,
    relative_corruption_error,
    total_variation,
)

ERRORS = {"a": 50.0, "b": 40.0, "c": 30.0}
REFERENCE = {"a": 80.0, "b": 75.0, "c": 60.0}


def test_mean_corruption_errors_are_the_cards() -> None:
    assert mean_corruption_error(ERRORS, REFERENCE) == pytest.approx(55.2778, abs=1e-4)
    found = relative_corruption_error(ERRORS, REFERENCE, clean=20, reference_clean=25)
    assert found == pytest.approx(41.0390, abs=1e-4)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), min_size=1))
def test_errors_of_domains_average_to_the_whole(rows: list[tuple[bool, str]]) -> None:
    right, groups = [good for good, _ in rows], [group for _, group in rows]
    parts = error_by(right, groups)
    whole = sum(parts[group] for group in groups) / len(groups)
    assert error_rate(right) == pytest.approx(whole)


def test_nothing_has_no_metric() -> None:
    assert error_rate([]) is None
    assert dominant_share([]) is None
    assert calibration_drift([], []) is None
    assert calibration_drift([0.5, 0.5], [True, False]) is None


def test_dominant_share_is_that_of_the_most_frequent_class() -> None:
    assert dominant_share([1, 1, 2, 1]) == 0.75


def test_total_variation_of_disjoint_laws_is_one() -> None:
    assert total_variation([1, 0], [0, 1]) == 1
    assert total_variation([0.5, 0.5], [0.5, 0.5]) == 0


def test_drift_is_the_error_of_the_end_less_that_of_the_start() -> None:
    confidences = [0.5] * 6 + [1.0] * 3
    right = [True, False, True, True, True, False, False, False, False]
    # First third: confidence .5, accuracy 2/3; last: confidence 1, accuracy 0.
    assert calibration_drift(confidences, right) == pytest.approx(1 - (2 / 3 - 0.5))


@pytest.mark.parametrize(
    "call",
    [
        lambda: error_by([True], []),
        lambda: mean_corruption_error({}, REFERENCE),
        lambda: mean_corruption_error({"z": 1.0}, REFERENCE),
        lambda: mean_corruption_error({"a": 1.0}, {"a": 0.0}),
        lambda: relative_corruption_error({"a": 1.0}, {"a": 25.0}, clean=0, reference_clean=25),
    ],
)
def test_bad_input_is_refused(call: object) -> None:
    with pytest.raises(BadInput):
        call()  # type: ignore[operator]
