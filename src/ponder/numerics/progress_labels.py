"""Labels of a solution's steps from Monte-Carlo roll-outs: relative progress, and the hard labels it refines.

Source: Zhao et al. 2025, arXiv:2504.00891 (card 57: relative progress estimation, consensus filter, number of
completions); Wang et al. 2024, arXiv:2312.08935 (hard labels).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = [
    "ProgressLabels",
    "completions_for",
    "consensus",
    "first_error",
    "hard_labels",
    "processbench_f1",
    "progress_labels",
    "rollout_value",
]


class ProgressLabels(NamedTuple):
    """What the roll-outs say of each step.

    Attributes:
        progress: value after the step over the value before it, >= 0 (it may pass 1); None once the value has been 0.
        labels: 1 for a good step, else 0.
    """

    progress: list[float | None]
    labels: list[int]


def rollout_value(correct: Sequence[bool]) -> float | None:
    """Return the share of roll-outs that were correct, in [0, 1]; None without any.

    The last step needs none: its value is that of its own answer, the one roll-out there is.
    """
    return sum(map(bool, correct)) / len(correct) if correct else None


def completions_for(pass_rate: float) -> int:
    """Return how many completions a step gets when the completer solves the question at `pass_rate`, in [0, 1]."""
    if pass_rate >= 0.9:
        return 32
    return 64 if pass_rate >= 0.1 else 128


def progress_labels(root: float, values: Sequence[float], *, eps: float = 0.8) -> ProgressLabels:
    """Label each step by the progress that it makes.

    Args:
        root: value of the question before any step, in (0, 1].
        values: value after each step, in [0, 1].
        eps: least progress of a good step, >= 0. With 0 the labels are the hard ones up to the first value of 0.

    Raises:
        ValueError: the root's value is 0, so that no progress can be told: such a question is to be skipped.
    """
    if not root > 0:
        raise ValueError(f"the value of the question must be positive, got {root!r}")
    progress: list[float | None] = []
    labels = []
    before = root
    for value in values:
        progress.append(value / before if before > 0 else None)
        labels.append(int(before > 0 and value > 0 and value / before >= eps))
        before = value if before > 0 else 0.0
    return ProgressLabels(progress, labels)


def hard_labels(values: Sequence[float]) -> list[int]:
    """Return 1 for each step from which some roll-out reached the answer, else 0."""
    return [int(value > 0) for value in values]


def first_error(labels: Sequence[float], *, threshold: float = 0.5) -> int | None:
    """Return the index of the first step whose label or reward is under `threshold`, or None."""
    return next((index for index, label in enumerate(labels) if label < threshold), None)


def consensus(labels: Sequence[int], verdicts: Sequence[int | None]) -> bool:
    """Return whether a judge's verdicts (1, 0, or None where unreadable) agree with every label."""
    return list(labels) == list(verdicts)


def processbench_f1(erroneous: float, correct: float) -> float:
    """Return the harmonic mean of the accuracies on erroneous and on correct solutions, each in [0, 1]."""
    return 2 * erroneous * correct / (erroneous + correct) if erroneous + correct > 0 else 0.0
