"""Code answers: the last Python program that the text shows.

Source: our own. Order: the last closed fence marked python or py; the last closed fence without a mark; a last fence
that is never closed, or the whole text without fences, where it is a program (parses, and does more than name
things). Two answers are equal if their texts are, white space at line ends aside.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

from ponder.core.registry import answer_types
from ponder.verifiers.answers._marks import last
from ponder.verifiers.answers.equality import CanonicalEquality

__all__ = ["CodeAnswer", "find_code"]

_FENCE = re.compile(r"```[ \t]*([\w+-]*)[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_LONGEST = 100_000  # characters of a text that is tried as a program


@answer_types("code")
@dataclass(frozen=True, kw_only=True)
class CodeAnswer(CanonicalEquality):
    """A Python program."""

    def extract(self, text: str) -> str | None:
        """Return the last program in `text`, or None."""
        return find_code(text)


def find_code(text: str) -> str | None:
    """Return the last Python program in `text`, or None."""
    fences = list(_FENCE.finditer(text))
    closed = [fence for fence in fences if fence.group().endswith("```")]
    for marks in (("python", "py", "python3"), ("",)):
        if found := last(fence for fence in closed if fence[1].lower() in marks):
            return _tidy(found[2])
    rest = fences[-1][2] if fences else text
    return _tidy(rest) if _is_program(rest) else None


def _tidy(code: str) -> str | None:
    kept = "\n".join(line.rstrip() for line in code.split("\n")).strip("\n")
    return kept or None


def _is_program(text: str) -> bool:
    if len(text) > _LONGEST:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # null bytes, surrogates, thousands of brackets
        return False
    # A word, a number or a sum parses too, but is prose or an answer of another type.
    return any(not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call) for node in tree.body)
