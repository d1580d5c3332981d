"""Preferences: rows with a request, a chosen and a rejected answer, as RewardBench and others publish them.

Source: our own columns, and those of RewardBench (`prompt`, `chosen`, `rejected`, `subset`, `id`); chats in the form of
lists of messages are read by their last assistant's turn. Which answer is shown first is drawn by the row's name.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from typing import Any

from ponder.core.errors import BadInput
from ponder.core.seeds import derive
from ponder.tasks.loaders.rows import SourceRow
from ponder.tasks.preferences import preference_problem
from ponder.tasks.problem import Problem

__all__ = ["preferences"]


def preferences(row: SourceRow) -> Problem:
    """`prompt` (or `instruction`, `question`), `chosen`, `rejected`, maybe `subset` (or `category`) and `id`.

    Chosen and rejected are texts, or chats whose last turn is the answer; the request may be left out then.
    """
    chosen, asked = _answer(row, "chosen")
    rejected, _ = _answer(row, "rejected")
    given = next((name for name in ("prompt", "instruction", "question") if row.values.get(name) is not None), None)
    request = row.text(given) if given is not None else asked
    if not request.strip():
        raise row.fault("prompt", "is missing, and the chosen chat does not hold it")
    subset = next((str(row.values[name]) for name in ("subset", "category") if row.values.get(name)), "")
    name = str(row.values.get("id") or "")
    chosen_first = derive(0, "preferences", subset, name or f"{request}\n{chosen}\n{rejected}").random() < 0.5
    try:
        return preference_problem(
            request,
            chosen,
            rejected,
            chosen_first=chosen_first,
            subset=subset,
            pair=f"{subset}-{name}" if name else "",
        )
    except BadInput as err:
        raise row.fault("chosen", str(err)) from err


def _answer(row: SourceRow, column: str) -> tuple[str, str]:
    """Return an answer, and what was asked before it where the column holds a chat."""
    value: Any = row.values.get(column)
    if not isinstance(value, list):
        return row.text(column), ""
    if not value or not all(isinstance(turn, dict) and isinstance(turn.get("content"), str) for turn in value):
        raise row.fault(column, "needs a text, or a list of messages with their content")
    *before, last = value
    return last["content"], "\n\n".join(turn["content"] for turn in before)
