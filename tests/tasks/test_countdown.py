from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core.candidate import Candidate
from ponder.core.errors import ConfigError
from ponder.core.task import Message
from ponder.tasks.countdown import Countdown
from ponder.verifiers.countdown import Countdown as Checker


def reachable(numbers: list[float]) -> set[float]:
    """Every value of the numbers, each used once: brute force."""
    if len(numbers) == 1:
        return {numbers[0]}
    found = set()
    for i, a in enumerate(numbers):
        for j, b in enumerate(numbers):
            if i != j:
                rest = [n for k, n in enumerate(numbers) if k not in (i, j)]
                for value in (a + b, a - b, a * b, *([a / b] if b else [])):
                    found |= reachable([value, *rest])
    return found


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31))
def test_every_target_can_be_reached(seed: int) -> None:
    for problem in Countdown().generate(3, seed):
        *numbers, target = map(float, re.findall(r"\d+", problem.task.prompt))
        assert len(numbers) == problem.task.metadata["difficulty"] + 1
        assert any(abs(value - target) < 1e-9 for value in reachable(numbers))


@pytest.mark.parametrize("level", [1, 2, 3])
async def test_worked_examples_pass_the_checker_of_their_prompt(level: int) -> None:
    (problem,) = Countdown(level=level, shots=12).generate(1, seed=0)
    assert problem.grader is not None
    assert problem.grader.verifier == "countdown"
    shown = problem.task.messages[:-1]
    for question, answer in zip(shown[::2], shown[1::2], strict=True):
        task = type(problem.task)(messages=(question,))
        (score,) = await Checker().score(task, [Candidate(index=0, message=Message("assistant", answer.text))], None)
        assert score.value == 1, (question.text, answer.text, score.reason)


def test_bad_settings_are_refused() -> None:
    for wrong in ({"smallest": 0}, {"smallest": 5, "largest": 4}, {"largest": 51}, {"shots": -1}):
        with pytest.raises(ConfigError):
            Countdown(**wrong)
