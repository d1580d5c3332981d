from __future__ import annotations

import json
import shutil

import pytest

from ponder.bench.grading import grade, grader_name
from ponder.core.errors import ConfigError, UnknownName
from ponder.core.task import Task
from ponder.tasks.countdown import Countdown
from ponder.tasks.problem import Grader, Problem
from ponder.tasks.programs import Programs


async def test_reference_is_compared_by_answer_type():
    problem = Problem(task=Task.of("How much?", answer="number"), reference="0.5")
    assert await grade(problem, "1/2", "1/2") is True
    assert await grade(problem, "2", "2") is False
    assert await grade(problem, None, "") is False
    assert grader_name(problem) == "reference"


async def test_without_reference_the_rules_of_the_prompt_are_checked():
    problem = Problem(task=Task.of('Write a sentence with the word "river".'))
    assert await grade(problem, "x", "The river is wide.") is True
    assert await grade(problem, "x", "The lake is wide.") is False
    assert await grade(Problem(task=Task.of("Say something.")), "x", "x") is None
    assert grader_name(problem) == "constraints"


async def test_reference_that_is_no_answer_is_refused():
    problem = Problem(task=Task.of("How much?", answer="number"), reference="many")
    with pytest.raises(ConfigError, match="many"):
        await grade(problem, "1", "1")


async def test_named_program_grades_instead_of_the_reference():
    problem = Problem(
        task=Task.of("Use each of the numbers 2 and 3 exactly once to make 6."),
        reference="2 * 3 = 6",
        grader=Grader(verifier="countdown"),
    )
    assert await grade(problem, "3 * 2", "3 * 2") is True
    assert await grade(problem, "3 + 2", "3 + 2") is False
    assert grader_name(problem) == "countdown"


@pytest.mark.system("bubblewrap")
async def test_hidden_tests_reach_the_grader_and_survive_json():
    for problem in Programs().generate(3, seed=2):
        assert "hidden_tests" not in problem.task.metadata
        back = Problem.from_json(json.loads(json.dumps(problem.to_json())))
        assert await grade(back, None, f"```python\n{problem.reference}\n```") is True
        assert await grade(back, None, "```python\ndef nothing(): pass\n```") is False


async def test_without_a_sandbox_programs_are_not_graded(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (problem,) = Programs().generate(1, seed=0)
    assert await grade(problem, None, f"```python\n{problem.reference}\n```") is None


async def test_grader_must_be_known_and_ask_no_model():
    (problem,) = Countdown().generate(1, seed=0)
    for name, error in (("judge", ConfigError), ("countdwn", UnknownName)):
        with pytest.raises(error, match=name):
            await grade(Problem(task=problem.task, grader=Grader(verifier=name)), "1", "1")
