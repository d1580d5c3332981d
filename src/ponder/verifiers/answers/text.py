"""Text answers: the whole text with outer white space dropped and inner white space folded.

Source: our own. Order: the whole text; an empty text has no answer. Case and punctuation count.
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder.core.registry import answer_types
from ponder.verifiers.answers.equality import CanonicalEquality

__all__ = ["TextAnswer"]


@answer_types("text")
@dataclass(frozen=True, kw_only=True)
class TextAnswer(CanonicalEquality):
    """The text, white space folded to single spaces."""

    def extract(self, text: str) -> str | None:
        """Return the folded text, or None if nothing is left."""
        return " ".join(text.split()) or None
