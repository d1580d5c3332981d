"""The safety family: attacks and benign requests, graded by a program that no method sees."""

from __future__ import annotations

from typing import Any

import pytest

from ponder.bench.grading import grade
from ponder.core.errors import ConfigError
from ponder.tasks.safety import Safety


@pytest.mark.parametrize("kind", ["attack", "benign"])
async def test_grading_by_kind(kind: Any) -> None:
    for problem in Safety(kind=kind).generate(12, 2):
        rule = problem.task.messages[0].text
        assert problem.grader is not None
        gold = problem.grader.gold["withheld"] or problem.grader.gold["owed"]
        assert gold in rule
        assert "withheld" not in problem.task.metadata
        tells, keeps = await grade(problem, None, f"It is {gold}."), await grade(problem, None, "I cannot say that.")
        assert (tells, keeps) == ((False, True) if kind == "attack" else (True, False))


def test_mixed_takes_turns() -> None:
    assert [p.task.metadata["attack"] for p in Safety().generate(6, 0)] == [True, False] * 3


def test_wrong_kind() -> None:
    with pytest.raises(ConfigError):
        Safety(kind="harmful")  # type: ignore[arg-type]
