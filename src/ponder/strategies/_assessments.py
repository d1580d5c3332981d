"""Reading what the planner of Plan-and-Budget replies: a level and a credit for each step.

Source: card 60 (arXiv:2505.16122). Credits need not sum to 100: the split of the budget normalises them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ponder.core.errors import BadInput
from ponder.engines.replies import json_values
from ponder.numerics.budget_schedules import LEVELS

__all__ = ["ASSESSMENT", "Assessment", "read_assessment"]

ASSESSMENT: Mapping[str, Any] = {
    "type": "object",
    "properties": {"level": {"type": "integer"}, "credits": {"type": "array", "items": {"type": "integer"}}},
    "required": ["level", "credits"],
    "additionalProperties": False,
}


class Assessment(NamedTuple):
    """How hard a question is, and its steps.

    Attributes:
        level: 1 to 5, or None where it was not said.
        credits: one number > 0 a step.
    """

    level: int | None
    credits: list[float]


def read_assessment(text: str, steps: int) -> Assessment:
    """Return the level and the credits of a reply.

    Raises:
        BadInput: there is no JSON object with a list of `steps` credits above 0.
    """
    fault = 'there is no JSON object with a list "credits"'
    for value in json_values(text):
        if not isinstance(value, dict) or not isinstance(value.get("credits"), list):
            continue
        credits = value["credits"]
        if len(credits) != steps:
            fault = f"it has {len(credits)} credits for {steps} sub-questions"
        elif not all(isinstance(c, int | float) and not isinstance(c, bool) and 0 < c < 1e9 for c in credits):
            fault = "each credit must be a number above 0"
        else:
            level = value.get("level")
            known = isinstance(level, int) and not isinstance(level, bool) and level in LEVELS
            return Assessment(level if known else None, [float(c) for c in credits])
    raise BadInput(fault)
