"""Equality by canonical form, which every answer type but `math` shares.

Source: our own. Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["CanonicalEquality", "KeyGrouping"]


class KeyGrouping:
    """Groups answers by a key, one after another.

    Args:
        key: equal for equal answers and for no others.
    """

    def __init__(self, key: Callable[[str], str]) -> None:
        self._key = key
        self._first: dict[str, int] = {}
        self._count = 0

    async def add(self, answer: str | None) -> int | None:
        """Return the index of the first answer added that equals this one; None for None, which has an index too."""
        index = self._count
        self._count += 1
        return None if answer is None else self._first.setdefault(self._key(answer), index)


class CanonicalEquality:
    """Equality of types whose canonical form is unique: two answers are equal if their keys are."""

    def key(self, answer: str) -> str:
        """Return what answers are compared by; by default the answer itself."""
        return answer

    def grouping(self) -> KeyGrouping:
        """Return what groups answers as they come in."""
        return KeyGrouping(self.key)

    async def group(self, answers: Sequence[str | None]) -> list[int | None]:
        """Return for each answer the index of the first equal one; None stays None."""
        grouping = self.grouping()
        return [await grouping.add(answer) for answer in answers]

    async def same(self, left: str | None, right: str | None) -> bool:
        """Return whether both are given and equal; both must be canonical, so extract a reference first."""
        return left is not None and right is not None and self.key(left) == self.key(right)
