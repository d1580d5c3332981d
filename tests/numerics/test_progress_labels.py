"""Labels by relative progress, hard labels, and the small numbers around them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.numerics.progress_labels import (
    completions_for,
    consensus,
    first_error,
    hard_labels,
    processbench_f1,
    progress_labels,
    rollout_value,
)

value = st.integers(0, 8).map(lambda count: count / 8)
values = st.lists(value, max_size=8)
root = st.integers(1, 8).map(lambda count: count / 8)


def test_progress_labels_of_the_card() -> None:
    found = progress_labels(0.6, [0.6, 0.5, 0.3, 0.28, 0.0, 0.2])  # card 57, check 2
    assert found.progress[:5] == pytest.approx([1.0, 0.8333333, 0.6, 0.9333333, 0.0])
    assert found.progress[5] is None
    assert found.labels == [1, 1, 0, 1, 0, 0]
    assert first_error(found.labels) == 2


def test_progress_of_a_question_that_nobody_solves_cannot_be_told() -> None:
    with pytest.raises(ValueError, match="positive"):
        progress_labels(0.0, [0.5])


@given(root, values)
def test_eps_0_is_the_hard_label_up_to_the_first_zero(start: float, after: list[float]) -> None:
    labels, hard = progress_labels(start, after, eps=0.0).labels, hard_labels(after)
    end = after.index(0.0) + 1 if 0.0 in after else len(after)
    assert labels[:end] == hard[:end]
    assert not any(labels[end:])


@given(root, values)
def test_eps_1_allows_no_decrease(start: float, after: list[float]) -> None:
    labels = progress_labels(start, after, eps=1.0).labels
    if all(labels):
        assert [start, *after] == sorted([start, *after])


@given(root, values, st.floats(0, 1), st.floats(0, 1))
def test_larger_eps_labels_fewer_steps_good(start: float, after: list[float], one: float, other: float) -> None:
    strict, lax = (progress_labels(start, after, eps=eps).labels for eps in (max(one, other), min(one, other)))
    assert all(a <= b for a, b in zip(strict, lax, strict=True))


@given(st.lists(st.booleans(), max_size=20))
def test_rollout_value_is_a_share(correct: list[bool]) -> None:
    found = rollout_value(correct)
    assert found == (correct.count(True) / len(correct) if correct else None)


def test_hard_questions_get_more_completions() -> None:
    assert [completions_for(rate) for rate in (1.0, 0.9, 0.89, 0.1, 0.09, 0.0)] == [32, 32, 64, 64, 128, 128]


def test_first_error_is_under_the_threshold() -> None:
    assert first_error([0.9, 0.5, 0.49]) == 2
    assert first_error([0.5, 1.0]) is None
    assert first_error([]) is None


def test_consensus_drops_any_mismatch() -> None:
    assert consensus([1, 0], [1, 0])
    assert not consensus([1, 0], [1, 1])
    assert not consensus([1, 0], [1, None])
    assert not consensus([1, 0], [1])


def test_processbench_f1_is_a_harmonic_mean() -> None:
    assert processbench_f1(0.6, 0.9) == pytest.approx(0.72)
    assert processbench_f1(0.0, 0.0) == 0.0
