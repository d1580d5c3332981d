"""Calibration error by both binnings, and the Brier score."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.calibration import Binning, brier_score, calibration_bins, calibration_error

answers = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30)
both = pytest.mark.parametrize("binning", ["width", "mass"])


@both
@given(answers=answers, bins=st.integers(1, 12))
def test_bins_hold_every_answer_once_and_bound_the_error(
    binning: Binning, answers: list[tuple[float, bool]], bins: int
) -> None:
    confidences, right = [c for c, _ in answers], [r for _, r in answers]
    found = calibration_bins(confidences, right, bins=bins, binning=binning)
    assert sum(part.answers for part in found) == len(answers)
    assert len(found) <= bins
    error = calibration_error(confidences, right, bins=bins, binning=binning)
    assert error is not None
    overall = abs(sum(confidences) - sum(right)) / len(answers)
    assert overall - 1e-9 <= error <= 1


@given(answers=answers, order=st.randoms(use_true_random=False))
def test_order_of_the_answers_does_not_matter(answers: list[tuple[float, bool]], order: object) -> None:
    mixed = sorted(answers, key=lambda _: order.random())  # type: ignore[attr-defined]
    for binning in ("width", "mass"):
        left, right = (
            calibration_bins([c for c, _ in part], [r for _, r in part], bins=4, binning=binning)
            for part in (answers, mixed)
        )
        assert left == right


def test_perfect_confidence_has_no_error() -> None:
    assert calibration_error([1.0, 0.0], [True, False]) == 0.0
    assert brier_score([1.0, 0.0], [True, False]) == 0.0


def test_error_is_the_gap_of_each_bin_weighted_by_its_answers() -> None:
    confidences, right = [0.9, 0.9, 0.9, 0.2], [True, True, False, False]
    assert calibration_error(confidences, right, bins=2) == pytest.approx((3 * (0.9 - 2 / 3) + 0.2) / 4)
    assert brier_score(confidences, right) == pytest.approx((0.01 + 0.01 + 0.81 + 0.04) / 4)


def test_border_belongs_to_the_lower_bin_of_equal_width() -> None:
    assert [part.answers for part in calibration_bins([0.0, 0.5, 0.6], [True] * 3, bins=2)] == [2, 1]


def test_bins_of_equal_mass_share_the_answers() -> None:
    found = calibration_bins([0.91, 0.92, 0.93, 0.94], [True] * 4, bins=2, binning="mass")
    assert [part.answers for part in found] == [2, 2]


def test_equal_confidences_stay_together() -> None:
    assert len(calibration_bins([0.7] * 5, [True] * 5, bins=5, binning="mass")) == 1


def test_nothing_answered_has_no_error() -> None:
    assert calibration_error([], []) is None
    assert brier_score([], []) is None


@pytest.mark.parametrize(("confidences", "right"), [([0.5], []), ([1.5], [True]), ([float("nan")], [True])])
def test_bad_input_is_refused(confidences: list[float], right: list[bool]) -> None:
    with pytest.raises(BadInput):
        calibration_error(confidences, right)
    with pytest.raises(BadInput):
        brier_score(confidences, right)


def test_bad_binning_is_refused() -> None:
    with pytest.raises(ConfigError):
        calibration_bins([0.5], [True], bins=0)
    with pytest.raises(ConfigError):
        calibration_bins([0.5], [True], binning="equal")  # type: ignore[arg-type]
