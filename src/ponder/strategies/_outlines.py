"""Reading what the planner of SCALE replies: givens and question, outlines, a chosen version, a difficulty.

Source: card 38 (arXiv:2512.00466). Keys need not be consecutive: steps are renumbered in the order of their numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ponder.core.errors import BadInput
from ponder.engines.plans import flat, read_plan
from ponder.engines.replies import json_values, unthought
from ponder.numerics.selective import read_score

__all__ = ["SPLIT", "read_difficulty", "read_outline", "read_split", "read_version"]

SPLIT: Mapping[str, Any] = {
    "type": "object",
    "properties": {"conditions": {"type": "string"}, "question": {"type": "string"}},
    "required": ["conditions", "question"],
    "additionalProperties": False,
}
_VERSION = re.compile(r"version\s*(\d{1,4})", re.IGNORECASE)


def read_split(text: str) -> tuple[str, str]:
    """Return what is given and what is asked.

    Raises:
        BadInput: there is no JSON object with both.
    """
    for value in json_values(text):
        if isinstance(value, dict):
            parts = value.get("conditions"), value.get("question")
            if all(isinstance(part, str) and part.strip() for part in parts):
                return str(parts[0]).strip(), str(parts[1]).strip()
    raise BadInput('there is no JSON object with "conditions" and "question"')


def read_outline(text: str) -> tuple[str, ...]:
    """Return the steps of an outline in the order of their numbers, of which some may be missing.

    Raises:
        BadInput: there is no JSON with steps.
    """
    for value in json_values(text):
        if isinstance(value, dict):
            numbers = {name: re.fullmatch(r"(?i)step[\s_-]*(\d{1,4})", str(name)) for name in value}
            found = [(int(match[1]), value[name]) for name, match in numbers.items() if match is not None]
            steps = [step.strip() for _, step in sorted(found, key=lambda pair: pair[0]) if isinstance(step, str)]
            if any(steps):
                return tuple(filter(None, steps))
    return tuple(node.text for node in flat(read_plan(text)))


def read_version(text: str, count: int) -> int:
    """Return the index of the version that a reply names (the last one it does), from 0.

    Raises:
        BadInput: it names none, or one that is not there.
    """
    named = _VERSION.findall(unthought(text))
    if not named or not 1 <= int(named[-1]) <= count:
        raise BadInput(f"it names no version from version1 to version{count}")
    return int(named[-1]) - 1


def read_difficulty(text: str) -> float:
    """Return the number in [0, 1] that a reply is.

    Raises:
        BadInput: it is anything else.
    """
    value = read_score(unthought(text))
    if value is None:
        raise BadInput("it is not one number from 0 to 1 and nothing else")
    return value
