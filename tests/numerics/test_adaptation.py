"""Thresholds and filters of adaptation: published values, worked examples of card 48, order and range."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.adaptation import (
    cosine,
    entropy,
    entropy_margin,
    filter_samples,
    moving_average,
    reset_threshold,
    similarity_margin,
    softmax,
)

logits = st.lists(st.floats(-20, 20), min_size=3, max_size=3)


@pytest.mark.parametrize(("classes", "margin"), [(1000, 2.763), (100, 1.842), (10, 0.921)])
def test_margin_has_the_published_values(classes: int, margin: float) -> None:
    assert entropy_margin(classes) == pytest.approx(margin, abs=1e-3)


@pytest.mark.parametrize(("classes", "margin"), [(2, 0.4), (10, 0.4), (100, 0.1), (1000, 0.05), (20_000, 0.05)])
def test_similarity_has_the_published_values(classes: int, margin: float) -> None:
    assert similarity_margin(classes) == pytest.approx(margin)


@given(st.integers(2, 5000), st.integers(2, 5000))
def test_similarity_falls_with_the_number_of_classes(few: int, many: int) -> None:
    few, many = sorted((few, many))
    assert similarity_margin(few) >= similarity_margin(many)


def test_reset_threshold_is_the_papers_at_1000_classes_and_scales_with_the_margin() -> None:
    assert reset_threshold(1000) == pytest.approx(0.2)
    assert reset_threshold(7) / entropy_margin(7) == pytest.approx(reset_threshold(1000) / entropy_margin(1000))


@pytest.mark.parametrize("threshold", [entropy_margin, similarity_margin, reset_threshold])
def test_one_class_is_no_classifier(threshold: object) -> None:
    with pytest.raises(ConfigError, match="at least 2 classes"):
        threshold(1)  # type: ignore[operator]


def test_no_logits_are_no_prediction() -> None:
    with pytest.raises(BadInput):
        softmax([])


@given(logits, st.floats(-50, 50))
def test_softmax_sums_to_one_and_ignores_a_shift(row: list[float], shift: float) -> None:
    assert math.fsum(softmax(row)) == pytest.approx(1)
    assert softmax([z + shift for z in row]) == pytest.approx(softmax(row), abs=1e-9)


@given(logits)
def test_entropy_is_between_0_and_that_of_uniform(row: list[float]) -> None:
    assert -1e-12 <= entropy(softmax(row)) <= math.log(3) + 1e-12


def test_entropy_of_certainty_and_of_uniform() -> None:
    assert entropy([1.0, 0.0]) == 0.0
    assert entropy([0.25] * 4) == pytest.approx(math.log(4))


def test_cosine_of_equal_and_of_orthogonal_vectors() -> None:
    assert cosine([1, 2], [2, 4]) == pytest.approx(1)
    assert cosine([1, 0], [0, 3]) == 0.0


def test_first_value_of_an_average_stands() -> None:
    assert moving_average(None, [0.3, 0.7]) == [0.3, 0.7]
    assert moving_average([0.0, 1.0], [1.0, 0.0]) == pytest.approx([0.1, 0.9])


def test_weights_are_those_of_the_card() -> None:
    margin = 0.439445  # card 48, check 1: the coefficients at entropies 0.05, 0.2 and 0.4
    assert [math.exp(margin - e) for e in (0.05, 0.2, 0.4)] == pytest.approx([1.476161, 1.270544, 1.040233], abs=1e-5)


@given(st.lists(logits, min_size=1, max_size=6), st.one_of(st.none(), logits))
def test_filter_selects_among_the_reliable_and_weighs_only_these(
    rows: list[list[float]], before: list[float] | None
) -> None:
    average = None if before is None else softmax(before)
    found = filter_samples(rows, average, margin=0.6, similarity=0.9)
    assert all(good or not chosen for good, chosen in zip(found.reliable, found.selected, strict=True))
    assert all((weight > 1) == chosen for weight, chosen in zip(found.weights, found.selected, strict=True))
    if any(found.selected):
        assert found.average is not None
        assert math.fsum(found.average) == pytest.approx(1)
        assert found.loss is not None
    else:
        assert (found.loss, found.average) == (None, average)


def test_entropy_at_the_margin_is_not_reliable() -> None:
    found = filter_samples([[0.0, 0.0]], None, margin=entropy([0.5, 0.5]), similarity=1.0)
    assert found.reliable == [False]
