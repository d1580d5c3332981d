from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.tasks.programs import Programs


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31))
def test_reference_program_passes_the_shown_and_the_hidden_tests(seed: int) -> None:
    for problem in Programs().generate(6, seed):
        assert problem.reference is not None
        assert problem.grader is not None
        shown, hidden = problem.task.metadata["tests"], problem.grader.gold["hidden_tests"]
        assert len(hidden) == 8
        names: dict[str, object] = {}
        exec(problem.reference, names)  # ours, not a model's
        for test in (*shown, *hidden):
            exec(test, names)


def test_hidden_tests_are_not_shown_and_hold_the_empty_list() -> None:
    for problem in Programs(hidden=3).generate(12, seed=1):
        assert problem.grader is not None
        hidden = problem.grader.gold["hidden_tests"]
        assert len(hidden) == 3
        assert "([])" in hidden[0]
        assert all(test in problem.task.prompt for test in problem.task.metadata["tests"])
        assert not any(test in problem.task.prompt for test in hidden)
        assert all(isinstance(ast.parse(test).body[0], ast.Assert) for test in hidden)


def test_too_few_hidden_tests_are_refused() -> None:
    with pytest.raises(ConfigError):
        Programs(hidden=1)
