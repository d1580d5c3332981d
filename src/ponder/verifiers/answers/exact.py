"""Exact answers: the text as it is, every character counts.

Source: our own. Order: the whole text; only the empty text has no answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder.core.registry import answer_types
from ponder.verifiers.answers.equality import CanonicalEquality

__all__ = ["ExactAnswer"]


@answer_types("exact")
@dataclass(frozen=True, kw_only=True)
class ExactAnswer(CanonicalEquality):
    """The text, unchanged."""

    def extract(self, text: str) -> str | None:
        """Return `text`, or None if it is empty."""
        return text or None
