"""HumanEval and MBPP by rows of the same shape written by hand, with execution."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ponder.bench.grading import grade, grader_name
from ponder.core.errors import BadInput
from ponder.tasks.loaders.programs import humaneval, mbpp
from ponder.tasks.loaders.rows import SourceRow
from ponder.tasks.problem import Problem

bubblewrap = pytest.mark.system("bubblewrap")
HUMAN: dict[str, Any] = {
    "task_id": "HumanEval/900",
    "prompt": 'from typing import List\n\n\ndef smallest(xs: List[int]) -> int:\n    """ Smallest.\n    """\n',
    "entry_point": "smallest",
    "canonical_solution": "    return min(xs)\n",
    "test": "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate([3, 1]) == 1\n",
}
MBPP: dict[str, Any] = {
    "task_id": 900,
    "text": "Write a function to double a number.",
    "code": "def double(n):\n    return 2 * n",
    "test_list": ["assert double(2) == 4", "assert double(two) == 4"],
    "test_setup_code": "two = 2",
    "challenge_test_list": ["assert double(0.5) == 1"],
}


def row(given: dict, **changed: object) -> SourceRow:
    return SourceRow(where="set.jsonl:1", number=0, values={**given, **changed})


@bubblewrap
async def test_humaneval_runs_its_hidden_tests() -> None:
    problem = humaneval(row(HUMAN))
    assert (problem.task.id, problem.task.answer, grader_name(problem)) == ("HumanEval/900", "code", "hidden_tests")
    assert "check" not in json.dumps(problem.to_json()["task"])
    again = Problem.from_json(json.loads(json.dumps(problem.to_json())))
    # The imports of the prompt count as given, and the published form, a continuation, is taken too.
    assert await grade(again, None, "```python\ndef smallest(xs: List[int]) -> int:\n    return min(xs)\n```") is True
    assert await grade(again, None, HUMAN["canonical_solution"]) is True
    assert await grade(again, None, "    return max(xs)\n") is False
    assert await grade(again, None, "I do not know.") is False
    assert await grade(again, None, f"```python\n{problem.reference}\n```") is True


@bubblewrap
async def test_mbpp_runs_its_tests_with_their_setup() -> None:
    problem = mbpp(row(MBPP))
    assert (problem.task.id, grader_name(problem)) == ("mbpp-900", "unit_tests")
    assert problem.task.prompt.split("\n")[1:] == ["Your code should pass these tests:", *MBPP["test_list"]]
    assert len(problem.task.metadata["tests"]) == 2
    assert await grade(problem, None, f"```python\n{problem.reference}\n```") is True
    assert await grade(problem, None, "```python\ndef double(n):\n    return int(2 * int(n))\n```") is False


def test_mbpp_sanitized_has_other_names() -> None:
    sanitized = {k: MBPP[k] for k in ("task_id", "code", "test_list")}
    problem = mbpp(row(sanitized, prompt="Write it.", test_imports=["import math"]))
    assert problem.task.metadata["tests"][0] == "import math\nassert double(2) == 4"
    assert problem.grader is not None
    assert problem.grader.gold == {"tests": problem.task.metadata["tests"]}


@pytest.mark.parametrize(
    ("read", "values", "message"),
    [
        (humaneval, {**HUMAN, "test": "assert True"}, "column 'test': does not define check"),
        (humaneval, {**HUMAN, "entry_point": "f(); import os"}, "column 'entry_point': is no name"),
        (humaneval, {"task_id": "x"}, "no column 'prompt'"),
        (mbpp, {**MBPP, "test_list": []}, "column 'test_list': has no test"),
        (mbpp, {**MBPP, "test_list": "assert True"}, "column 'test_list': needs a list of statements"),
        (mbpp, {"task_id": 1, "test_list": ["assert True"]}, "no column 'text' or 'prompt'"),
    ],
)
def test_faults_name_the_column(read, values: dict, message: str) -> None:
    with pytest.raises(BadInput, match=rf"^set\.jsonl:1: {message}"):
        read(row(values))
