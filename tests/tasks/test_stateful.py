"""Stateful stories: contexts side by side, answers that follow from them, levels."""

from __future__ import annotations

import re

import pytest

from ponder.core.errors import ConfigError
from ponder.numerics.sleep_costs import split_question
from ponder.tasks.stateful import Stateful


def test_problems_of_a_context_stand_side_by_side() -> None:
    problems = Stateful(questions=5).generate(15, 3)
    names = [p.task.metadata["context_id"] for p in problems]
    assert names == [name for name in dict.fromkeys(names) for _ in range(5)]
    assert len({p.task.id for p in problems}) == 15
    assert all(p.task.id.startswith(p.task.metadata["context_id"] + "/") for p in problems)
    assert [p.task.id for p in Stateful(questions=5).generate(7, 3)] == [p.task.id for p in problems[:7]]


def test_context_and_question_are_those_of_the_prompt() -> None:
    for problem in Stateful(questions=7).generate(14, 0):
        facts = problem.task.metadata
        assert problem.task.prompt == f"{facts['context']} {facts['question']}"
        assert split_question(problem.task.prompt) == (facts["context"], facts["question"])


def test_answers_follow_from_the_context() -> None:
    for problem in Stateful(questions=7).generate(70, 1):
        numbers = [int(n) for n in re.findall(r"\d+", problem.task.metadata["context"])]
        count, each, sold, price, more = numbers
        left = count * each - sold
        values = [count * each, sold * price, left, (count + 2) * each, left + more, left * price, left + more - 3]
        assert problem.reference is not None
        assert int(problem.reference) in values
        assert left >= 2


@pytest.mark.parametrize("level", [1, 2, 3])
def test_levels(level: int) -> None:
    assert {p.task.metadata["difficulty"] for p in Stateful(level=level).generate(6, 0)} == {level}


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"questions": 0}, {"questions": 8}, {"level": 4}):
        with pytest.raises(ConfigError):
            Stateful(**wrong)
    with pytest.raises(ConfigError):
        Stateful().generate(-1, 0)
