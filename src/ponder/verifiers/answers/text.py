"""Text answers: the whole text; two are equal if they differ in white space only.

Source: our own. Order: the whole text without the white space around it; an empty text has no answer. Case and
punctuation count.
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder.core.registry import answer_types
from ponder.verifiers.answers.equality import CanonicalEquality

__all__ = ["TextAnswer"]


@answer_types("text")
@dataclass(frozen=True, kw_only=True)
class TextAnswer(CanonicalEquality):
    """The text as it is; white space is folded to compare."""

    def extract(self, text: str) -> str | None:
        """Return the text without the white space around it, or None if nothing is left."""
        return text.strip() or None

    def key(self, answer: str) -> str:
        """Return the text with its white space folded."""
        return " ".join(answer.split())
