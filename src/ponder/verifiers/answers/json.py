"""JSON answers: the first object or array that parses, written in one canonical way.

Source: our own. Order: inside code fences first, then anywhere in the text. Canonical form: keys sorted, no
white space, ASCII. NaN and infinities are no JSON: a text whose first value holds one has no answer.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ponder.core.registry import answer_types
from ponder.verifiers.answers.equality import CanonicalEquality

__all__ = ["JsonAnswer", "find_json"]

_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\n(.*?)```", re.DOTALL)
_OPEN = re.compile(r"\{(?=\s*+[\"}])|\[")
_MOST_BROKEN = 200  # openings that lead nowhere before the text is given up: each error costs time linear in it


@answer_types("json")
@dataclass(frozen=True, kw_only=True)
class JsonAnswer(CanonicalEquality):
    """A JSON object or array."""

    def extract(self, text: str) -> str | None:
        """Return the canonical dump of the first JSON object or array, or None."""
        value = find_json(text)
        if value is None:
            return None
        try:
            # ASCII: a lone surrogate such as "\ud800" is legal JSON but cannot be written as UTF-8.
            return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
        except ValueError:  # 1e999 parses as infinity
            return None


def find_json(text: str) -> dict[str, Any] | list[Any] | None:
    """Return the first JSON object or array in `text`, code fences first, or None."""
    for block in _FENCE.findall(text):
        if (value := _first(block)) is not None:
            return value
    return _first(text)


def _first(text: str) -> dict[str, Any] | list[Any] | None:
    decoder = json.JSONDecoder(parse_constant=_refuse)
    position = 0
    for _ in range(_MOST_BROKEN):
        opening = _OPEN.search(text, position)
        if opening is None:
            return None
        try:
            value, _ = decoder.raw_decode(text, opening.start())
        except json.JSONDecodeError as err:
            # Go on where the parse broke, not one character on: the parts of a broken value are no value.
            position = max(err.pos, opening.end())
        except (ValueError, RecursionError):  # NaN, a number of thousands of digits, thousands of levels
            return None
        else:
            found: dict[str, Any] | list[Any] = value
            return found
    return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
