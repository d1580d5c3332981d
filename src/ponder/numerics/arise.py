"""ARISE: gains in accuracy over rising compute count less the more tokens they took, losses count more.

Source: Yin et al. 2025, arXiv:2510.06014 (card 41), as its released code computes it.
Differs: `allocate_runs` says how many runs a cell may take after its probe, and the caller keeps the probe's runs (the
released code throws them away); a stop by the standard error is offered beside the released one, whose variation of
mixed right and wrong answers never shrinks.
Cost: one pass over the table. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ponder.core.errors import BadInput, ConfigError

__all__ = [
    "AdaptiveRuns",
    "Arise",
    "Cell",
    "Drop",
    "Levels",
    "Stability",
    "Transitions",
    "allocate_runs",
    "arise",
    "drops",
    "question_arise",
    "stability",
    "variation",
]

SEVERE = 1.5  # ratio of tokens above which a drop is called severe


class Levels(NamedTuple):
    """One question over rising levels of compute, in the order of the intended effort.

    Attributes:
        accuracies: in [0, 1], one a level.
        tokens: mean completion tokens, one a level.
    """

    accuracies: Sequence[float]
    tokens: Sequence[float]


class Transitions(NamedTuple):
    """How answers changed: the first two count steps, the others questions.

    Attributes:
        improved, degraded: steps from one level to the next that rose and fell.
        always_right, always_wrong: questions at 1, at 0, on every level.
        mixed: questions whose accuracy changes.
    """

    improved: int
    degraded: int
    always_right: int
    always_wrong: int
    mixed: int


@dataclass(frozen=True, kw_only=True)
class Arise:
    """The score of a set of questions.

    Attributes:
        value: mean of `scores`; 0 without any.
        scores: of each question.
        std, low, high: their spread (ddof 0) and ends.
        transitions: how answers changed.
    """

    value: float
    scores: tuple[float, ...]
    std: float
    low: float
    high: float
    transitions: Transitions


class Drop(NamedTuple):
    """Accuracy that fell from one level to the next.

    Attributes:
        question: index.
        level: the later one.
        size: of the fall, > 0.
        extra_tokens: later less earlier tokens.
        ratio: later over earlier tokens, infinite where the earlier level took none; `-ratio` is the penalty.
        severe: whether the ratio is above 1.5.
    """

    question: int
    level: int
    size: float
    extra_tokens: float
    ratio: float
    severe: bool


def question_arise(question: Levels) -> float:
    """Return the sum over levels of gain x (earlier tokens / later tokens)^(sign of the gain).

    A step without change, or with a token count of 0, adds nothing; fewer than two levels give 0. Where tokens fall,
    the weights turn round: the formula is kept as it is.

    Raises:
        BadInput: not as many tokens as accuracies.
    """
    if len(question.accuracies) != len(question.tokens):
        raise BadInput(f"{len(question.accuracies)} accuracies need as many tokens, got {len(question.tokens)}")
    score = 0.0
    for (before, after), (cheap, dear) in zip(pairwise(question.accuracies), pairwise(question.tokens), strict=True):
        gain = after - before
        if gain != 0 and cheap > 0 and dear > 0:
            score += gain * (cheap / dear if gain > 0 else dear / cheap)
    return score


def arise(questions: Sequence[Levels]) -> Arise:
    """Return the mean score of questions with its spread and what it is made of.

    Raises:
        BadInput: as `question_arise`.
    """
    scores = tuple(question_arise(question) for question in questions)
    value, std = _moments(scores)
    steps = [after - before for question in questions for before, after in pairwise(question.accuracies)]
    return Arise(
        value=value,
        scores=scores,
        std=std,
        low=min(scores, default=0.0),
        high=max(scores, default=0.0),
        transitions=Transitions(
            improved=sum(step > 0 for step in steps),
            degraded=sum(step < 0 for step in steps),
            always_right=sum(set(q.accuracies) == {1} for q in questions),
            always_wrong=sum(set(q.accuracies) == {0} for q in questions),
            mixed=sum(len(set(q.accuracies)) > 1 for q in questions),
        ),
    )


def drops(questions: Sequence[Levels]) -> list[Drop]:
    """Return every step at which accuracy fell (negative scaling), question by question."""
    return [drop for at, question in enumerate(questions) for drop in _drops(at, question)]


def variation(values: Sequence[float], *, eps: float = 1e-8) -> float:
    """Return std / (mean + eps) with ddof 0; fewer than two values give 0."""
    if len(values) < 2:
        return 0.0
    mean, std = _moments(values)
    return std / (mean + eps)


class Cell(NamedTuple):
    """The runs of one question at one level.

    Attributes:
        accuracy, tokens: means.
        accuracy_std, tokens_std: with ddof 0.
        runs: how many.
        variation: of accuracies plus of tokens.
        converged: whether that is at most the threshold.
    """

    accuracy: float
    tokens: float
    accuracy_std: float
    tokens_std: float
    runs: int
    variation: float
    converged: bool


@dataclass(frozen=True, kw_only=True)
class AdaptiveRuns:
    """When a cell has been run often enough: the caller runs it until `wants_more` says no.

    Attributes:
        least, most: runs of a cell, 1 <= least <= most.
        threshold: on the variation of accuracies plus that of tokens.
        eps: in its denominators.
        standard_error: divide the variation by the root of the runs first (ours, sound); False is the released rule.
    """

    least: int = 3
    most: int = 10
    threshold: float = 0.5
    eps: float = 1e-8
    standard_error: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ConfigError(f"need 1 <= least <= most runs, got {self.least!r} and {self.most!r}")
        if not (self.threshold >= 0 and self.eps > 0):
            raise ConfigError("the threshold cannot be below 0, and eps must be above it")

    def wants_more(self, accuracies: Sequence[float], tokens: Sequence[float]) -> bool:
        """Return whether to run the cell once more after these runs."""
        runs = len(accuracies)
        return runs < self.least or (runs < self.most and self._variation(accuracies, tokens) > self.threshold)

    def cell(self, accuracies: Sequence[float], tokens: Sequence[float]) -> Cell:
        """Sum up the runs of a cell.

        Raises:
            BadInput: no run, or not as many tokens as accuracies.
        """
        if not accuracies or len(accuracies) != len(tokens):
            raise BadInput("a cell needs a token count for each accuracy, and at least one run")
        (accuracy, accuracy_std), (mean, tokens_std) = _moments(accuracies), _moments(tokens)
        found = self._variation(accuracies, tokens)
        return Cell(accuracy, mean, accuracy_std, tokens_std, len(accuracies), found, found <= self.threshold)

    def _variation(self, accuracies: Sequence[float], tokens: Sequence[float]) -> float:
        found = variation(accuracies, eps=self.eps) + variation(tokens, eps=self.eps)
        return found / math.sqrt(len(accuracies)) if self.standard_error else found


def allocate_runs(variations: Sequence[float], budget: int, *, least: int = 3, most: int = 10) -> list[int]:
    """Return the most runs of each cell under a budget of runs, in proportion to the variation its probe showed.

    Args:
        variations: of each cell after `least` runs, >= 0.
        budget: of runs over all cells; if it does not exceed the probes, each cell keeps `least`.
        least: runs of a cell that the probe made.
        most: runs of a cell, >= least.

    Raises:
        ConfigError: not 0 <= least <= most.
        BadInput: a variation below 0.
    """
    if not 0 <= least <= most:
        raise ConfigError(f"need 0 <= least <= most runs, got {least!r} and {most!r}")
    if any(not value >= 0 for value in variations):
        raise BadInput("variations cannot be below 0")
    rest, total = budget - len(variations) * least, sum(variations)
    if rest <= 0 or total == 0:
        return [least] * len(variations)
    return [min(least + int(rest * value / total), most) for value in variations]


class Stability(NamedTuple):
    """How much the score of a whole evaluation changes when it is repeated.

    Attributes:
        mean, std: of the scores (ddof 0).
        variation: std / mean; below 0 or very large where the mean is near 0.
        low, high: least and largest score.
        runs: how many.
    """

    mean: float
    std: float
    variation: float
    low: float
    high: float
    runs: int


def stability(scores: Sequence[float], *, eps: float = 1e-8) -> Stability:
    """Return the spread of the scores of repeated evaluations.

    Raises:
        BadInput: no score.
    """
    if not scores:
        raise BadInput("stability needs at least one score")
    mean, std = _moments(scores)
    return Stability(mean, std, std / (mean + eps), min(scores), max(scores), len(scores))


def _drops(at: int, question: Levels) -> Iterator[Drop]:
    steps = zip(pairwise(question.accuracies), pairwise(question.tokens), strict=True)
    for level, ((before, after), (cheap, dear)) in enumerate(steps, 1):
        if after < before:
            ratio = dear / cheap if cheap > 0 else math.inf
            yield Drop(at, level, before - after, dear - cheap, ratio, ratio > SEVERE)


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation (ddof 0); 0 and 0 for none."""
    if not values:
        return 0.0, 0.0
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
