from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.tasks.arithmetic_chains import ArithmeticChains
from ponder.verifiers.answers.number import NumberAnswer
from ponder.verifiers.arithmetic import stated_calculations


def value(prompt: str) -> int:
    """Follow the instructions one by one."""
    start, *changes = re.findall(r"(?:Start with|Add|Subtract) \d+", prompt)
    signs = {"Add": 1, "Subtract": -1}
    return int(start.split()[-1]) + sum(signs[verb] * int(number) for verb, number in map(str.split, changes))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.integers(1, 5))
def test_reference_is_the_value_of_the_chain(seed: int, steps: int) -> None:
    for problem in ArithmeticChains(steps=steps).generate(5, seed):
        assert problem.reference == str(value(problem.task.prompt))
        assert int(problem.reference) >= 0
        assert problem.task.prompt.count(".") == steps + 1
        assert problem.task.metadata["difficulty"] in (1, 2, 3)


def test_worked_examples_are_right_and_never_the_question() -> None:
    problems = ArithmeticChains().generate(50, seed=3)
    (shown,) = {problem.task.messages[:-1] for problem in problems}
    assert [message.role for message in shown] == ["user", "assistant"] * 5
    for question, answer in zip(shown[::2], shown[1::2], strict=True):
        stated = [c for line in answer.text.split("\n") for c in stated_calculations(line.partition(": ")[2])]
        assert len(stated) == 3
        assert all(calculation.holds for calculation in stated)
        assert NumberAnswer().extract(answer.text) == str(value(question.text))
    assert not {problem.task.prompt for problem in problems} & {message.text for message in shown}


def test_draw_is_seeded_distinct_and_grows_at_its_end() -> None:
    family = tasks.get("arithmetic_chains").make()
    problems = family.generate(60, seed=3)
    assert problems[:20] == family.generate(20, seed=3)
    assert problems != family.generate(60, seed=4)
    assert len({problem.task.id for problem in problems}) == 60


def test_family_that_is_used_up_says_so_and_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="no more than about"):
        ArithmeticChains(steps=1, smallest=1, largest=2, shots=0).generate(100, seed=0)
    for settings_ in ({"steps": 0}, {"shots": -1}, {"smallest": 5, "largest": 4}, {"smallest": 0}):
        with pytest.raises(ConfigError):
            ArithmeticChains(**settings_)
