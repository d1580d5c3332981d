"""Problems as data, and how a family draws them."""

from __future__ import annotations

import json

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import tasks
from ponder.core.task import Message, Task
from ponder.tasks.problem import LEVELS, Grader, Problem, check_level, draw, level_at

GENERATED = [name for name in tasks.names() if name != "reasoning_gym"]


def numbered(level: int) -> Problem:
    return Problem(task=Task(messages=(Message("user", f"at {level}"),), metadata={"difficulty": level}))


@pytest.mark.parametrize("name", GENERATED)
def test_problems_survive_a_round_trip_through_json(name: str) -> None:
    problems = tasks.get(name).make().generate(12, seed=5)
    assert [Problem.from_json(json.loads(json.dumps(problem.to_json()))) for problem in problems] == problems


@pytest.mark.parametrize("name", GENERATED)
def test_family_gives_the_level_that_is_asked_for(name: str) -> None:
    for level in LEVELS:
        problems = tasks.get(name).make(level=level).generate(12, seed=5)
        assert {problem.task.metadata["difficulty"] for problem in problems} == {level}
    with pytest.raises(ConfigError, match="level"):
        tasks.get(name).make(level=4)


@pytest.mark.parametrize("name", GENERATED)
def test_draw_is_seeded_distinct_and_grows_at_its_end(name: str) -> None:
    family = tasks.get(name).make()
    problems = family.generate(45, seed=3)
    assert problems[:20] == family.generate(20, seed=3)
    assert problems != family.generate(45, seed=4)
    assert len({problem.task.prompt for problem in problems}) == len({problem.task.id for problem in problems}) == 45
    assert {problem.task.metadata["difficulty"] for problem in problems} == set(LEVELS)
    assert all(problem.task.metadata["max_tokens"] > 0 for problem in problems)


def test_grader_keeps_its_gold_out_of_the_task() -> None:
    problem = Problem(task=Task.of("Write it."), grader=Grader(verifier="hidden_tests", gold={"hidden_tests": ["1"]}))
    data = problem.to_json()
    assert "hidden_tests" not in json.dumps(data["task"])
    assert data["grader"] == {"verifier": "hidden_tests", "settings": {}, "gold": {"hidden_tests": ["1"]}}
    assert Problem.from_json(data) == problem


def test_another_schema_is_refused() -> None:
    with pytest.raises(BadInput, match="schema 2"):
        Problem.from_json({**Problem(task=Task.of("x")).to_json(), "v": 2})


def test_draw_keeps_to_a_level_and_says_when_there_is_none() -> None:
    problems = draw(lambda stream, index: numbered(stream.choice(LEVELS)), 1, 0, "mixed", level=2)
    assert [problem.task.metadata["difficulty"] for problem in problems] == [2]
    with pytest.raises(ConfigError, match="no more than about 0"):
        draw(lambda stream, index: numbered(1), 1, 0, "easy", level=3)


def test_levels_come_in_turn_unless_one_is_asked_for() -> None:
    assert [level_at(None, index) for index in range(4)] == [1, 2, 3, 1]
    assert [level_at(2, index) for index in range(4)] == [2] * 4
    check_level(None)
    with pytest.raises(ConfigError):
        check_level(0)
