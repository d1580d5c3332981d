"""Saying "I don't know": how wrong the answers are that are given, as fewer are given, and who attempts what.

Source: risk and coverage of selective prediction, El-Yaniv & Wiener 2010; attempted and not attempted answers of two
models on the same questions, Zeng et al. 2025, arXiv:2504.06564, table 3 (card 25).
Differs: questions of equal confidence are given or withheld together, so a curve has one point for each value.
Cost: n log n. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from ponder.core.errors import BadInput, ConfigError

__all__ = ["Attempts", "RiskPoint", "area_under_risk", "compare_attempts", "coverage_at", "risk_coverage"]


class RiskPoint(NamedTuple):
    """What is given at a threshold.

    Attributes:
        threshold: least confidence of an answer that is given.
        coverage: share of the questions that get one, in (0, 1].
        risk: share of wrong ones among these, in [0, 1].
    """

    threshold: float
    coverage: float
    risk: float


class Attempts(NamedTuple):
    """Two models on the same questions, by who attempted them.

    Attributes:
        shared: questions that both attempted.
        only: those that the second attempted alone.
        neither: those that the second did not attempt.
    """

    shared: tuple[str, ...]
    only: tuple[str, ...]
    neither: tuple[str, ...]


def risk_coverage(
    confidences: Sequence[float], right: Sequence[bool], *, questions: int | None = None
) -> list[RiskPoint]:
    """Return one point for each distinct confidence, highest first.

    Args:
        confidences: of the answers.
        right: as many grades.
        questions: all that were asked, those without an answer included; by default as many as answers.

    Raises:
        BadInput: lengths that differ, or fewer questions than answers.
    """
    if len(confidences) != len(right):
        raise BadInput(f"{len(confidences)} confidences need as many grades, got {len(right)}")
    asked = len(right) if questions is None else questions
    if asked < len(right):
        raise BadInput(f"{len(right)} answers to {asked} questions")
    points, given, wrong = [], 0, 0
    ranked = sorted(zip(confidences, right, strict=True), key=lambda pair: -pair[0])
    for threshold, group in groupby(ranked, key=lambda pair: pair[0]):
        tied = [good for _, good in group]
        given += len(tied)
        wrong += len(tied) - sum(tied)
        points.append(RiskPoint(threshold, given / asked, wrong / given))
    return points


def area_under_risk(points: Sequence[RiskPoint]) -> float | None:
    """Return the mean risk over coverage (AURC) up to the largest coverage, each step at its own risk; None if empty.

    Lower is better; with one threshold it is the plain share of wrong answers.
    """
    if not points:
        return None
    steps = [0.0, *(point.coverage for point in points)]
    area = math.fsum(p.risk * (after - before) for p, before, after in zip(points, steps[:-1], steps[1:], strict=True))
    return area / steps[-1]


def coverage_at(points: Sequence[RiskPoint], risk: float) -> RiskPoint | None:
    """Return the point with the most coverage whose risk is at most `risk`; None where there is none.

    Raises:
        ConfigError: risk outside [0, 1].
    """
    if not 0 <= risk <= 1:
        raise ConfigError(f"risk must be in [0, 1], got {risk!r}")
    return max((point for point in points if point.risk <= risk), key=lambda point: point.coverage, default=None)


def compare_attempts(first: Mapping[str, bool], second: Mapping[str, bool]) -> Attempts:
    """Split the questions of both models by who attempted them; shared and only add up to what the second attempted.

    Args:
        first: by question, whether the first model attempted it.
        second: the same of the second model, on the same questions.

    Raises:
        BadInput: the questions differ.
    """
    if first.keys() != second.keys():
        raise BadInput("two models can be compared on the same questions only")
    shared = tuple(q for q in second if second[q] and first[q])
    only = tuple(q for q in second if second[q] and not first[q])
    return Attempts(shared, only, tuple(q for q in second if not second[q]))
