r"""Bounds: the best constant of an inequality, compared exactly.

Source: Sheng et al. 2025, arXiv:2506.07927 (IneqMath, card 19), the bound task: the value must be the same exactly, so
a decimal of an irrational number is wrong. Order: the last "C = ..." of the part that states the answer, within its
dollar signs or box; else the last formula there; else what a math answer would be.
Differs: sympy proves equality in a worker process (the paper asks a model); what it cannot prove is not equal.
Cost: no model call; about 1 s to start the worker once. Needs: the extra `math`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ponder.core.errors import ConfigError, MissingExtra
from ponder.core.registry import answer_types
from ponder.numerics.inequality import locate, same_bound_text, unnamed_bound
from ponder.verifiers.answers._marks import boxed
from ponder.verifiers.answers._math_client import compare_exactly
from ponder.verifiers.answers.math import MathAnswer, MathGrouping

__all__ = ["BoundAnswer"]

logger = logging.getLogger(__name__)

_LONGEST = 400
_FORMULA = re.compile(r"\$+([^$]+)\$+")
_NAMED = re.compile(r"(?<![A-Za-z\\])C(?:_(?:\{[^{}]*\}|\w))?\s*=\s*([^\n$]+)")
_PROSE = re.compile(r"[.;,]\s.*|\s+[A-Za-z]{3,}\b.*", re.DOTALL)  # behind a formula without delimiters
_TRAILING = re.compile(r"[\s.,;*]+$")


@answer_types("bound", needs=("math",), card=19, paper="arXiv:2506.07927", fidelity="paper")
@dataclass(frozen=True, kw_only=True)
class BoundAnswer:
    """An exact number.

    Attributes:
        seconds: time limit of one comparison, > 0.
    """

    seconds: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.seconds < float("inf"):
            raise ConfigError(f"seconds must be above 0, got {self.seconds!r}")
        if importlib.util.find_spec("math_verify") is None:
            raise MissingExtra("bounds need 'math_verify': pip install 'ponder[math]'")

    def extract(self, text: str) -> str | None:
        """Return the expression of the bound as it was written, without its name, or None."""
        part = locate(text)
        for place in (part, text):
            if named := _NAMED.findall(place):
                return _clean(_PROSE.sub("", named[-1]))
        if (inside := boxed(text)) is not None:
            return _clean(unnamed_bound(inside))
        if formulas := _FORMULA.findall(part):
            return _clean(unnamed_bound(formulas[-1]))
        found = MathAnswer().extract(text)
        return None if found is None else _clean(unnamed_bound(found))

    async def group(self, answers: Sequence[str | None]) -> list[int | None]:
        """Return for each answer the index of the first that equals it; each is compared with first members only."""
        grouping = self.grouping()
        return [await grouping.add(answer) for answer in answers]

    def grouping(self) -> MathGrouping:
        """Return what groups answers as they come in."""
        return MathGrouping(self.same)

    async def same(self, left: str | None, right: str | None) -> bool:
        """Return whether two bounds have, provably, the same value."""
        if left is None or right is None:
            return False
        if same_bound_text(left, right):
            return True
        equal = await asyncio.to_thread(compare_exactly, left, right, self.seconds)
        if equal is None:
            logger.warning("comparing two bounds took over %g s (or broke the worker): unequal", self.seconds)
        return bool(equal)


def _clean(expression: str) -> str | None:
    expression = _TRAILING.sub("", expression.strip("* \t\n"))
    while expression.endswith("}") and expression.count("}") > expression.count("{"):  # of a box around it
        expression = expression[:-1].rstrip()
    return expression if 0 < len(expression) <= _LONGEST else None
