"""What a task family draws: tasks, each with its reference answer beside it and never inside.

Source: our own. Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ponder.core.errors import ConfigError
from ponder.core.seeds import derive
from ponder.core.task import Task

__all__ = ["Family", "Problem", "draw"]

_TRIES = 200  # draws in a row that give nothing new before a family counts as used up


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A task and its reference answer.

    Attributes:
        task: what a method receives.
        reference: gold for the grader; None where a program checks the answer against the prompt.
    """

    task: Task
    reference: str | None = None


class Family(Protocol):
    """A generator of problems."""

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct problems; a smaller count with the same seed gives the first of them.

        Raises:
            ConfigError: `count` is negative, or the family has fewer distinct prompts.
        """


def draw(make: Callable[[random.Random, int], Problem], count: int, seed: int, name: str) -> list[Problem]:
    """Call `make(stream, index)` until there are `count` problems with distinct prompts.

    Args:
        make: builds one problem from its own random stream; `index` counts from 0.
        count: how many, >= 0.
        seed: same seed, same problems.
        name: the family, which names the stream.

    Raises:
        ConfigError: `count` is negative, or `make` has nothing new after many tries.
    """
    if count < 0:
        raise ConfigError(f"count must be at least 0, got {count!r}")
    problems: dict[str, Problem] = {}
    for index in range(count):
        for attempt in range(_TRIES):
            problem = make(derive(seed, "tasks", name, index, attempt), index)
            if problem.task.prompt not in problems:
                problems[problem.task.prompt] = problem
                break
        else:
            raise ConfigError(f"{name} has no more than about {len(problems)} distinct prompts, {count} were asked for")
    return list(problems.values())
