"""Text answers: the whole text; two are equal if they differ in white space only.

Source: our own. Order: the whole text without the white space around it; an empty text has no answer. Case and
punctuation count.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    async def group(self, answers: Sequence[str | None]) -> list[int | None]:
        """Return for each answer the index of the first that reads the same; None stays None."""
        return await super().group([None if answer is None else _folded(answer) for answer in answers])

    async def same(self, left: str | None, right: str | None) -> bool:
        """Return whether both are given and read the same."""
        return left is not None and right is not None and _folded(left) == _folded(right)


def _folded(text: str) -> str:
    return " ".join(text.split())
