"""Arithmetic chains: a number that is changed step by step, worked out one numbered line a step.

Source: our own; made for step search and process reward models with SmolLM2-135M at temperature 0.8, which gets about 1
in 10 right, 2 in 3 chains within 16 samples, and 7 in 10 first steps (12 chains x 16 samples). A raw few-shot prompt is
no chat, and tasks are chats: the worked examples are earlier turns, which does better than the same text as a raw
prompt (one sample .09 against .06), and the model ends its answer by itself.
Cost: 48 completion tokens an answer are enough. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.core.seeds import derive
from ponder.core.task import Message, Task
from ponder.tasks.problem import Problem, check_level, draw

__all__ = ["ArithmeticChains"]

_VERBS = {"+": "Add", "-": "Subtract"}
_TRIES = 200  # chains in a row that are worked examples before none is left


@tasks("arithmetic_chains")
@dataclass(frozen=True, kw_only=True)
class ArithmeticChains:
    """Sums and differences of numbers in [smallest, largest]; no value on the way is negative.

    Attributes:
        steps: operations, >= 1.
        smallest: least number, >= 1.
        largest: greatest number.
        shots: worked examples before the question, the same ones for every task; >= 0.
        level: 1 (no digit carried or borrowed), 2 (one) or 3 (more); None mixes them as they come.
    """

    steps: int = 3
    smallest: int = 2
    largest: int = 9
    shots: int = 5
    level: int | None = None

    def __post_init__(self) -> None:
        check_level(self.level)
        if not 1 <= self.smallest <= self.largest:
            raise ConfigError(f"need 1 <= smallest <= largest, got {self.smallest!r} and {self.largest!r}")
        if self.steps < 1 or self.shots < 0:
            raise ConfigError(f"steps must be at least 1 and shots at least 0, got {self.steps!r} and {self.shots!r}")

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct chains with their results as references; none of them is a worked example."""
        examples = [self._chain(derive(0, "tasks", "arithmetic_chains", "shot", at)) for at in range(self.shots)]
        shown = [message for chain, lines, _ in examples for message in _turns(chain, lines)]

        def make(stream: random.Random, index: int) -> Problem:
            for _ in range(_TRIES):
                chain, lines, result = self._chain(stream)
                if all(chain != example for example, _, _ in examples):
                    break
            else:
                raise ConfigError("arithmetic_chains has no chain beyond its worked examples: widen its numbers")
            metadata = {
                "family": "arithmetic_chains",
                "difficulty": min(3, 1 + sum(_carries(line) for line in lines)),
                "max_tokens": 48,
            }
            messages = (*shown, Message("user", chain))
            return Problem(task=Task(messages=messages, answer="number", metadata=metadata), reference=str(result))

        return draw(make, count, seed, "arithmetic_chains", level=self.level)

    def _chain(self, stream: random.Random) -> tuple[str, list[str], int]:
        """Return a chain, its worked lines, and its result."""
        value = stream.randint(self.smallest, self.largest)
        chain, lines = f"Start with {value}.", []
        for step in range(1, self.steps + 1):
            number = stream.randint(self.smallest, self.largest)
            sign = stream.choice("+-") if number <= value else "+"
            result = value + number if sign == "+" else value - number
            chain += f" {_VERBS[sign]} {number}."
            lines.append(f"Step {step}: {value} {sign} {number} = {result}")
            value = result
        return chain, lines, value


def _turns(chain: str, lines: list[str]) -> tuple[Message, Message]:
    return Message("user", chain), Message("assistant", "\n".join(lines))


def _carries(line: str) -> bool:
    """Whether a digit is carried or borrowed in a line "Step 1: a + b = c"."""
    left, sign, right = line.split()[2:5]
    a, b = int(left) % 10, int(right) % 10
    return a + b > 9 if sign == "+" else a < b
