"""Measures of confidence: card 25, checks 1 to 5 and 7, and scikit-learn's definitions by brute force."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.calibration import adaptive_calibration_error, binned_error, width_bins
from ponder.numerics.confidence import average_precision, confidence_report, rank_correlation

STATED = [0.95, 0.9, 0.9, 0.85, 0.8, 0.8, 0.7, 0.65, 0.6, 0.5]
RIGHT = [True, True, False, True, True, False, True, False, False, False]
answers = st.lists(st.tuples(st.sampled_from([0.0, 0.05, 0.5, 0.55, 0.8, 0.9, 0.95, 1.0]), st.booleans()), min_size=1)


def test_worked_example() -> None:
    found = confidence_report(STATED, RIGHT)
    assert found.answers == 10
    assert found.accuracy == 0.5
    assert found.confidence == pytest.approx(0.765)
    assert found.ece == pytest.approx(0.275)
    assert found.ace == pytest.approx(0.425)
    assert found.brier == pytest.approx(0.26475)
    assert found.auroc == pytest.approx(0.8)
    assert found.auprc_right == pytest.approx(0.7595, abs=1e-4)
    assert found.auprc_wrong == pytest.approx(0.8444, abs=1e-4)
    assert binned_error(width_bins(STATED, RIGHT, closed="left")) == pytest.approx(0.325)
    for closed in ("right", "left"):
        assert binned_error(width_bins(STATED, RIGHT, bins=5, closed=closed)) == pytest.approx(0.265)
    assert adaptive_calibration_error(STATED, RIGHT, bins=5) == pytest.approx(0.315)


def test_calibrated_confidence_has_nearly_no_error() -> None:
    rng = random.Random(0)
    stated = [rng.random() for _ in range(100_000)]
    found = confidence_report(stated, [rng.random() < c for c in stated])
    assert found.ece is not None
    assert found.ece < 0.01
    assert found.ace is not None
    assert found.ace < 0.01


def test_constant_confidence() -> None:
    found = confidence_report([0.9] * 10, [True] * 4 + [False] * 6)
    assert found.ece == pytest.approx(0.5)
    assert found.ace == pytest.approx((0.1 * 4 + 0.9 * 6) / 10)
    assert found.auroc == 0.5
    assert confidence_report([0.4] * 10, [True] * 4 + [False] * 6).ece == pytest.approx(0)
    alone = adaptive_calibration_error([0.9] * 10, [True] * 4 + [False] * 6, bins=1)
    assert alone == pytest.approx(0.5)


def test_what_is_not_defined_is_missing() -> None:
    assert confidence_report([0.5, 0.6], [True, True]).auroc is None
    assert confidence_report([0.5, 0.6], [True, True]).auprc_wrong is None
    assert confidence_report([0.5, 0.6], [False, False]).auprc_right is None
    empty = confidence_report([], [])
    assert (empty.answers, empty.ece, empty.ace, empty.accuracy, empty.bins) == (0, None, None, None, ())


def test_bias_raises_the_error_and_leaves_the_ranking() -> None:
    """Check 7: a ladder of bias."""
    rng = random.Random(1)
    chances = [0.55 * rng.random() for _ in range(20_000)]
    right = [rng.random() < p for p in chances]
    reports = [confidence_report([p + bias for p in chances], right) for bias in (0.4, 0.2, 0.05)]
    errors = [report.ece for report in reports]
    assert errors == sorted(errors, reverse=True)  # type: ignore[type-var]
    assert len({round(report.auroc or 0, 12) for report in reports}) == 1


def test_edges_belong_to_the_named_side_whatever_binary_makes_of_them() -> None:
    for bins in (5, 7, 10, 20, 100):
        for k in range(bins + 1):
            (low,) = width_bins([k / bins], [True], bins=bins)
            assert low.answers == 1
        on_edge = [k / bins for k in range(1, bins)]
        for closed, inside in (("right", -1e-6), ("left", 1e-6)):
            moved = width_bins([c + inside for c in on_edge], [True] * len(on_edge), bins=bins, closed=closed)  # type: ignore[arg-type]
            exact = width_bins(on_edge, [True] * len(on_edge), bins=bins, closed=closed)  # type: ignore[arg-type]
            assert len(moved) == len(exact) == bins - 1


@given(answers)
def test_properties(pairs: list[tuple[float, bool]]) -> None:
    stated, right = [c for c, _ in pairs], [y for _, y in pairs]
    found = confidence_report(stated, right)
    assert found.ece is not None
    assert found.confidence is not None
    assert found.accuracy is not None
    assert found.ece >= abs(found.confidence - found.accuracy) - 1e-12  # check 4
    assert sum(part.answers for part in found.bins) == len(pairs)
    squared = confidence_report([c * c for c in stated], right)  # check 5
    assert (squared.auroc, squared.auprc_right, squared.auprc_wrong) == (
        found.auroc,
        found.auprc_right,
        found.auprc_wrong,
    )


@given(answers)
def test_average_precision_agrees_with_its_definition(pairs: list[tuple[float, bool]]) -> None:
    scores, positive = [c for c, _ in pairs], [y for _, y in pairs]
    total = sum(positive)
    if not total:
        assert average_precision(scores, positive) is None
        return
    area, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = [y for c, y in pairs if c >= threshold]
        recall = sum(taken) / total
        area += (recall - before) * sum(taken) / len(taken)
        before = recall
    assert average_precision(scores, positive) == pytest.approx(area)


def test_rank_correlation() -> None:
    assert rank_correlation([1, 2, 3], [10, 20, 40]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 1, 2, 2], [1, 2, 1, 2]) == pytest.approx(0)
    assert rank_correlation([1, 1], [1, 2]) is None
    assert rank_correlation([], []) is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput):
        confidence_report([0.5], [])
    with pytest.raises(BadInput):
        confidence_report([1.5], [True])
    with pytest.raises(BadInput):
        confidence_report([math.nan], [True])
    with pytest.raises(BadInput):
        average_precision([1.0], [])
    with pytest.raises(BadInput):
        rank_correlation([1.0], [])
    with pytest.raises(ConfigError):
        width_bins([0.5], [True], bins=0)
    with pytest.raises(ConfigError):
        width_bins([0.5], [True], closed="both")  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        adaptive_calibration_error([0.5], [True], bins=0)
