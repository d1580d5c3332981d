"""Whole runs in which every reply is one that the embedded model gave: none crashes, and none makes things up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ponder import ScriptedModel, Task, solve
from ponder.core import registry
from ponder.core.access import Access
from tests.strategies.bad_outputs import FOLDER

# The methods that decompose, collaborate or divide a budget, small enough to be quick.
SETTINGS: dict[str, dict[str, Any]] = {
    "adaptive_graph_of_thoughts": {},
    "agent_graph": {},
    "atom_of_thoughts": {},
    "multi_agent_debate": {"agents": 2, "rounds": 2},
    "plan_and_budget": {"per_step": True},
    "scale": {"outlines": 2},
    "sleep_time": {"rounds": 2},
    "thought_mani": {},
}


def cases() -> Iterator[Any]:
    for method in SETTINGS:
        rows = json.loads((FOLDER / f"{method}.json").read_text(encoding="utf-8"))["rows"]
        for at, row in enumerate(rows):
            yield pytest.param(method, row, id=f"{method}-{at}-{row['part']}-{row['kind']}")


@pytest.mark.parametrize(("method", "row"), list(cases()))
async def test_a_model_that_says_nothing_else_ends_the_run_in_order(method: str, row: dict[str, Any]) -> None:
    reply = row["reply"]
    model = ScriptedModel(replies=[reply], access=frozenset({Access.TEXT, Access.PREFIX, Access.LOGPROBS}))
    task = Task.of(row["question"], answer="number")
    result = await solve(task, model=model, method=method, **SETTINGS[method])
    assert result.stopped in ("done", "agreement", "endpoint"), result.detail
    made = registry.strategies.get(method).make(**SETTINGS[method])
    assert result.cost.calls <= sum(made.calls().values())
    for candidate in result.candidates:
        assert candidate.text in reply, "nothing is said that the model did not say"
    if result.answer is not None:
        digits = "".join(ch for ch in result.answer if ch.isdigit())
        assert all(digit in reply for digit in digits)
        assert result.answer in [candidate.answer for candidate in result.candidates]
