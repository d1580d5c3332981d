"""Countdown: make a target from given numbers, each used once; many answers are right and a program tells.

Source: our own, after the numbers round of the television game; each target is reached by construction.
The grader is the checker that reads the prompt ("verifier = grader" for the verifier of the same name).
Levels: 1 has two numbers, 2 three, 3 four; 1 and 2 need + and - alone.
Measured (one sample -> any of 8; temperature 0.8, all levels): Qwen2.5-Coder-0.5B .26 -> .50 (30 problems).
Cost: 32 completion tokens an answer are enough. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.core.seeds import derive
from ponder.core.task import Message, Task
from ponder.tasks.problem import Grader, Problem, check_level, draw, level_at

__all__ = ["Countdown"]

_OPERATORS = {1: "+-", 2: "+-", 3: "+-*/"}
_LARGEST = 100  # of every value on the way


@tasks("countdown")
@dataclass(frozen=True, kw_only=True)
class Countdown:
    """Numbers in [smallest, largest] whose target is a natural number.

    Attributes:
        level: 1, 2 or 3; None takes them in turn.
        smallest: least number, >= 1.
        largest: greatest number, at most 50.
        shots: worked examples of the same level before the question; >= 0.
    """

    level: int | None = None
    smallest: int = 1
    largest: int = 9
    shots: int = 4

    def __post_init__(self) -> None:
        check_level(self.level)
        if not 1 <= self.smallest <= self.largest <= _LARGEST // 2:
            raise ConfigError(f"need 1 <= smallest <= largest <= 50, got {self.smallest!r} and {self.largest!r}")
        if self.shots < 0:
            raise ConfigError(f"shots must be at least 0, got {self.shots!r}")

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct rounds, each with its grader."""
        return draw(self._round, count, seed, "countdown")

    def _round(self, stream: random.Random, index: int) -> Problem:
        level = level_at(self.level, index)
        shown = []
        for at in range(self.shots):
            question, answer = self._numbers(derive(0, "tasks", "countdown", "shot", level, at), level)
            shown += [Message("user", question), Message("assistant", answer)]
        question, _ = self._numbers(stream, level)
        metadata = {"family": "countdown", "difficulty": level, "max_tokens": 32}
        task = Task(messages=(*shown, Message("user", question)), metadata=metadata)
        return Problem(task=task, grader=Grader(verifier="countdown"))

    def _numbers(self, stream: random.Random, level: int) -> tuple[str, str]:
        """Return a question and one right answer."""
        numbers = [stream.randint(self.smallest, self.largest) for _ in range(level + 1)]
        value, text, additive = numbers[0], str(numbers[0]), False
        for number in numbers[1:]:
            operator = stream.choice([sign for sign in _OPERATORS[level] if _apply(value, sign, number) is not None])
            if operator in "*/" and additive:
                text = f"({text})"
            result = _apply(value, operator, number)
            assert result is not None
            value, text, additive = result, f"{text} {operator} {number}", operator in "+-"
        given = numbers.copy()
        stream.shuffle(given)
        listed = ", ".join(map(str, given[:-1])) + f" and {given[-1]}"
        return f"Use each of the numbers {listed} exactly once to make {value}.", f"{text} = {value}"


def _apply(value: int, operator: str, number: int) -> int | None:
    """Work out one step; None where it leaves the natural numbers up to the largest, or is idle (* 1, / 1)."""
    match operator:
        case "+":
            result = value + number
        case "-":
            result = value - number
        case "*":
            result = value * number if number > 1 else 0
        case _:
            result = value // number if number > 1 and value % number == 0 else 0
    return result if 1 <= result <= _LARGEST else None
