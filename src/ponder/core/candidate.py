"""What was sampled and how it was judged: candidates and scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ponder.core.model import Completion, Finish
from ponder.core.task import Message
from ponder.core.usage import Usage

__all__ = ["Candidate", "Score"]


@dataclass(frozen=True, kw_only=True)
class Score:
    """A verifier's judgement of one candidate. Missing is a value: a score that cannot be read is not 0.

    Attributes:
        value: the score (higher is better), or None where it is missing. NaN becomes missing.
        steps: one score per step, for step-wise verifiers.
        reason: why it is missing, or what the verifier said.
    """

    value: float | None = None
    steps: tuple[float, ...] = ()
    reason: str = ""

    def __post_init__(self) -> None:
        if self.value is not None and math.isnan(self.value):
            object.__setattr__(self, "value", None)
            object.__setattr__(self, "reason", self.reason or "the verifier returned NaN")

    @classmethod
    def missing(cls, reason: object) -> Score:
        """Return a missing score with its reason."""
        return cls(value=None, reason=str(reason))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        value = self.value if self.value is None or math.isfinite(self.value) else str(self.value)
        return {"value": value, "steps": list(self.steps), "reason": self.reason}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One possible answer with the evidence for it.

    Attributes:
        index: position in sample order, from 0.
        message: the model's message; None when the call failed.
        answer: the extracted answer, or None where there is none to extract.
        finish: why generation ended; None when the call failed.
        usage: nominal cost of this candidate's own generation.
        scores: by verifier name.
        error: the failure, where the call failed.
        completion: tokens and log-probabilities, where the back-end gave them (not part of equality).
        metadata: what a method wants to keep (chain, parent, rank).
    """

    index: int
    message: Message | None = None
    answer: str | None = None
    finish: Finish | None = None
    usage: Usage = field(default_factory=Usage)
    scores: Mapping[str, Score] = field(default_factory=dict)
    error: str | None = None
    completion: Completion | None = field(default=None, compare=False, repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The candidate's text; empty when the call failed."""
        return "" if self.message is None else self.message.text

    @property
    def ok(self) -> bool:
        """Whether there is a message at all."""
        return self.message is not None

    @property
    def complete(self) -> bool:
        """Whether the model ended by itself (not cut, not cancelled, not failed)."""
        return self.finish in ("stop", "tool_calls")

    def scored(self, verifier: str, score: Score) -> Candidate:
        """Return a copy with one more score."""
        return replace(self, scores={**self.scores, verifier: score})

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object (tokens and log-probabilities are left to the trace and the store)."""
        return {
            "index": self.index,
            "message": None if self.message is None else self.message.to_json(),
            "answer": self.answer,
            "finish": self.finish,
            "usage": self.usage.to_json(),
            "scores": {name: score.to_json() for name, score in self.scores.items()},
            "error": self.error,
            "metadata": dict(self.metadata),
        }
