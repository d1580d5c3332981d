r"""Math answers: expressions compared by what they mean (1/2, \frac12 and 0.5), through math-verify.

Source: math-verify (Hugging Face), run in one long-lived worker process: it needs a process's main thread, imports
sympy, and can hang inside one big power, where only killing helps. Order: the last `\boxed{}`, the last `####`, the
last "answer is", the last $...$ or \(...\) or \[...\]; else the text itself, if it is one short line without words;
else the last number.
Differs: a comparison over its time limit counts as unequal and is logged. Cost: no model call; about 1 s to start the
worker once. Needs: the extra `math`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ponder.core.errors import ConfigError, MissingExtra
from ponder.core.registry import answer_types
from ponder.verifiers.answers._marks import marked
from ponder.verifiers.answers._math_client import compare
from ponder.verifiers.answers.number import NumberAnswer

__all__ = ["MathAnswer", "MathGrouping"]

logger = logging.getLogger(__name__)

_LONGEST = 2000  # characters; longer ones are prose, and parsing them takes minutes
_SHORT = 80
_DELIMITERS = (("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_WORDS = re.compile(r"[^\W\d_]{3,}")
_TRIM = re.compile(r"^(?:\\[(\[]|\$+)\s*|\s*(?:\\[)\]]|\$+)?[.,;]?(?:\*\*)?$")


@answer_types("math", needs=("math",))
@dataclass(frozen=True, kw_only=True)
class MathAnswer:
    """A mathematical expression.

    Attributes:
        seconds: time limit of one comparison, > 0.
    """

    seconds: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.seconds < float("inf"):
            raise ConfigError(f"seconds must be above 0, got {self.seconds!r}")
        # Refused here, before anything is spent; `need` would import sympy into this process.
        if importlib.util.find_spec("math_verify") is None:
            raise MissingExtra("math answers need 'math_verify': pip install 'ponder[math]'")

    def extract(self, text: str) -> str | None:
        """Return the final expression as it was written, without its delimiters, or None."""
        for place in marked(text):
            if expression := _clean(place):
                return expression
        if formula := _last_formula(text):
            return _clean(formula)
        line = text.strip()
        if 0 < len(line) <= _SHORT and "\n" not in line and not _WORDS.search(line):
            return _clean(line)
        return NumberAnswer().extract(text)

    async def group(self, answers: Sequence[str | None]) -> list[int | None]:
        """Return for each answer the index of the first that equals it; each is compared with first members only."""
        grouping = self.grouping()
        return [await grouping.add(answer) for answer in answers]

    def grouping(self) -> MathGrouping:
        """Return what groups answers as they come in."""
        return MathGrouping(self.same)

    async def same(self, left: str | None, right: str | None) -> bool:
        """Return whether `right` equals the reference `left`; False where that takes over the time limit."""
        if left is None or right is None:
            return False
        if left == right:
            return True
        equal = await asyncio.to_thread(compare, left, right, self.seconds)
        if equal is None:
            logger.warning("comparing two math answers took over %g s (or broke the worker): unequal", self.seconds)
            logger.debug("the two answers were %r and %r", left, right)
        return bool(equal)


class MathGrouping:
    """Groups answers one after another; a new one is compared with the first member of each group only.

    Args:
        same: says whether two answers are equal.
    """

    def __init__(self, same: Callable[[str, str], Awaitable[bool]]) -> None:
        self._same = same
        self._heads: dict[str, int] = {}
        self._known: dict[str, int] = {}
        self._count = 0

    async def add(self, answer: str | None) -> int | None:
        """Return the index of the first answer added that equals this one; None for None, which has an index too."""
        index = self._count
        self._count += 1
        if answer is None:
            return None
        if answer not in self._known:
            for head, first in self._heads.items():
                if await self._same(head, answer):
                    self._known[answer] = first
                    break
            else:
                self._heads[answer] = self._known[answer] = index
        return self._known[answer]


def _last_formula(text: str) -> str:
    """Return the formula whose closing delimiter stands last; empty where there is none."""
    best, last = "", 0
    for opening, closing in _DELIMITERS:
        end = text.rfind(closing)
        if closing == "$" and end > 0 and text[end - 1] == "$":
            end -= 1  # $$...$$
        start = text.rfind(opening, 0, max(end, 0))
        if start >= 0 and end > last:
            best, last = text[start + len(opening) : end].strip(), end
    return best


def _clean(expression: str) -> str | None:
    expression = _TRIM.sub("", expression.strip("* \t\n")).strip()
    return expression if 0 < len(expression) <= _LONGEST else None
