"""AutoMathCritique: make wrong solutions with a known first error, keep critiques that help, keep honest refinements.

Source: Xi et al. 2024, arXiv:2411.16579, and its released filters (card 12).
Differs: the three ways of making flawed solutions, the number of refinements and the threshold of the soft filter are
reconstructed (card 12, steps 9 to 11); repeated critiques are dropped among the items of one question, not among
whatever items one worker happened to get. All of these filters read the reference: they make training data and decide
nothing at test time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ponder.core.errors import BadInput, ConfigError

__all__ = [
    "FlawedSolution",
    "Refined",
    "filter_refinements",
    "flawed_from_resample",
    "flawed_from_sample",
    "keep_critique",
    "keep_refinement",
    "soft_filter",
    "solution_steps",
]

_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class FlawedSolution:
    """A wrong solution and what is known about its error.

    Attributes:
        steps: its lines.
        how: "sampled" (a wrong answer as it came), "resampled" (written anew from `first_error` on at a higher
            temperature) or "inserted" (a described mistake was put in at `first_error`).
        first_error: number of the first wrong step, from 1; None where only the answer is known to be wrong.
        hint: what the annotator is told besides.
    """

    steps: tuple[str, ...]
    how: Literal["sampled", "resampled", "inserted"]
    first_error: int | None = None
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Refined:
    """One refinement on its way into training data.

    Attributes:
        question: key of the question.
        original: the solution that was criticised.
        critique: the critique that led to it.
        solution: the new solution.
        correct: whether its answer equals the reference.
    """

    question: str
    original: str
    critique: str
    solution: str
    correct: bool


def solution_steps(solution: str) -> tuple[str, ...]:
    """Return the steps of a solution: its lines, blank ones left out."""
    return tuple(line.strip() for line in solution.splitlines() if line.strip())


def flawed_from_sample(solution: str, *, correct: bool) -> FlawedSolution | None:
    """Return a sampled solution as a flawed one; None where it is right, or empty."""
    steps = solution_steps(solution)
    return FlawedSolution(steps=steps, how="sampled") if steps and not correct else None


def flawed_from_resample(
    kept: Sequence[str],
    rest: str,
    *,
    correct: bool,
    how: Literal["resampled", "inserted"] = "resampled",
    hint: str = "",
) -> FlawedSolution | None:
    """Return kept right steps with a new continuation as a flawed solution whose error starts there.

    Args:
        kept: the steps of a right solution before the change.
        rest: what was written instead of the others.
        correct: whether the new solution's answer is still right: then it is none.
        how: whether the continuation was sampled, or the mistake in it was asked for.
        hint: description of the mistake.
    """
    steps = solution_steps(rest)
    if correct or not steps:
        return None
    return FlawedSolution(steps=(*kept, *steps), how=how, first_error=len(kept) + 1, hint=hint)


def soft_filter(correct: int, tries: int, tau: float = 0.3) -> bool:
    """Return whether a critique is kept: at least a share `tau` of the refinements that it led to are right.

    Raises:
        BadInput: not 0 <= correct <= tries with tries >= 1.
        ConfigError: tau outside [0, 1].
    """
    if tries < 1 or not 0 <= correct <= tries:
        raise BadInput(f"cannot take {correct!r} right of {tries!r} refinements")
    if not 0 <= tau <= 1:
        raise ConfigError(f"tau is a share in [0, 1], got {tau!r}")
    return correct / tries >= tau


def keep_critique(
    labels: Sequence[bool | None], verdict: bool | None, *, solution_correct: bool, first_error: int | None = None
) -> bool:
    """Return whether a critique agrees with what is known about its solution, before the soft filter.

    Args:
        labels: of the steps (True: correct); None is unreadable and never kept.
        verdict: on the final answer.
        solution_correct: whether the answer is right. A right solution's critique has no wrong label at all.
        first_error: for a wrong solution the first wrong step, from 1, where it is known: it must be the one named.
    """
    if verdict is None or not labels or any(label is None for label in labels):
        return False
    if solution_correct:
        return verdict and all(labels)
    named = next((at for at, label in enumerate(labels, 1) if not label), None)
    return not verdict and (first_error is None or named == first_error)


def keep_refinement(reference: str, original: str, new: str) -> bool:
    """Return whether a refinement shows its work (the shortcut barrier).

    It must have at least min(numbers in the reference, numbers in the original) - 2 numbers, where a number is a
    longest run of digits: "3.5" and "1,234" count two each.
    """
    counts = [len(_DIGITS.findall(text)) for text in (reference, original, new)]
    return counts[2] >= min(counts[0], counts[1]) - 2


def filter_refinements(found: Iterable[Refined], reference: str, *, look_back: int = 1) -> list[Refined]:
    """Return the refinements that become training data, in order.

    Args:
        found: refinements; those of one question in a fixed order.
        reference: the reference solution of their question.
        look_back: a refinement whose critique is one of the last `look_back` kept of its question is dropped; 0 keeps
            repeats.
    """
    kept: list[Refined] = []
    critiques: dict[str, list[str]] = {}
    for item in found:
        seen = critiques.setdefault(item.question, [])
        recent = seen[-look_back:] if look_back else []
        if item.correct and item.critique not in recent and keep_refinement(reference, item.original, item.solution):
            seen.append(item.critique)
            kept.append(item)
    return kept
