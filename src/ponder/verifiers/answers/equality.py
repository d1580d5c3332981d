"""Equality by canonical form, which every answer type but `math` shares.

Source: our own. Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["CanonicalEquality"]


class CanonicalEquality:
    """Equality of types whose canonical form is unique: two answers are equal if their strings are."""

    async def group(self, answers: Sequence[str | None]) -> list[int | None]:
        """Return for each answer the index of the first equal one; None stays None."""
        first: dict[str, int] = {}
        return [None if answer is None else first.setdefault(answer, i) for i, answer in enumerate(answers)]

    async def same(self, left: str | None, right: str | None) -> bool:
        """Return whether both are given and equal; both must be canonical, so extract a reference first."""
        return left is not None and left == right
