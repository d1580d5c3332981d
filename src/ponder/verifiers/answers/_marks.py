"""The places in a text where models put their final answer; every search here is linear in the text."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["announced", "boxed", "hashed", "last", "marked"]

T = TypeVar("T")

_BOXED = re.compile(r"\\boxed\s*\{")
_BRACE = re.compile(r"[{}]")
_HASHED = re.compile(r"####[ \t]*([^\n]*)")
# "answer is", "answer: ", "**Answer:** ", "answer would be", "answer = ".
_ANNOUNCED = re.compile(r"\banswers?\b[*_` \t]{0,6}(?:is\b|are\b|was\b|would be\b|[:=])[*_` \t:]{0,6}", re.IGNORECASE)


def last(found: Iterable[T]) -> T | None:
    """Return the last element, or None where there is none."""
    return next(iter(deque(found, maxlen=1)), None)


def boxed(text: str) -> str | None:
    r"""Return what the last `\boxed{...}` holds, braces balanced; None where it is missing or never closed."""
    found = last(_BOXED.finditer(text))
    if found is None:
        return None
    depth, start = 1, found.end()
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return text[start : brace.start()].strip()
    return None


def hashed(text: str) -> str | None:
    """Return the rest of the line after the last `####`."""
    found = last(_HASHED.finditer(text))
    return None if found is None else found.group(1).strip()


def announced(text: str) -> str | None:
    """Return the rest of the line after the last "answer is" or "answer:", or the next line if that is empty."""
    found = last(_ANNOUNCED.finditer(text))
    if found is None:
        return None
    return text[found.end() :].lstrip().split("\n", 1)[0].strip()


def marked(text: str) -> Iterator[str]:
    """Yield the marked places that exist: boxed, then `####`, then "answer is"."""
    for find in (boxed, hashed, announced):
        if place := find(text):
            yield place
