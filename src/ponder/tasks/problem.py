"""What a task family draws: tasks, each with what its grader needs beside it and never inside.

A problem is graded by its reference (compared by the task's answer type), or, where many answers are right, by a
registered verifier that calls no model; what that verifier must not show to a method (hidden tests) is kept in
`Grader.gold` and joined to the task for the grading alone. Problems are rows of JSON with a schema version.
Source: our own. Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ponder.core.errors import BadInput, ConfigError
from ponder.core.seeds import derive
from ponder.core.task import Message, Task

__all__ = ["LEVELS", "SCHEMA", "Family", "Grader", "Problem", "check_level", "draw", "level_at"]

SCHEMA = 1
LEVELS = (1, 2, 3)  # `metadata["difficulty"]` of generated problems: easy, middle, hard

_TRIES = 200  # draws in a row that give nothing new before a family counts as used up


@dataclass(frozen=True, kw_only=True)
class Grader:
    """A program that grades, for problems that no comparison with one reference can grade.

    Attributes:
        verifier: name of a registered verifier that needs no model; an answer is right if it scores 1.
        settings: of the verifier.
        gold: what the verifier finds in the task's metadata while it grades and a method never does.
    """

    verifier: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    gold: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"verifier": self.verifier, "settings": dict(self.settings), "gold": dict(self.gold)}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A task and what its grader needs.

    Attributes:
        task: what a method receives.
        reference: gold for the grader; None where a program checks the answer.
        grader: the program; with a reference too, the reference is only for people to read. With neither, the rules
            that the prompt states are what is graded.
    """

    task: Task
    reference: str | None = None
    grader: Grader | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object with its schema version; gold stands beside the task."""
        task = self.task
        return {
            "v": SCHEMA,
            "task": {
                "id": task.id,
                "messages": [message.to_json() for message in task.messages],
                "answer": task.answer,
                "metadata": dict(task.metadata),
            },
            "reference": self.reference,
            "grader": None if self.grader is None else self.grader.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Problem:
        """Rebuild a problem from `to_json`.

        Raises:
            BadInput: another schema version.
            KeyError, TypeError: something is missing or of another kind.
        """
        if data["v"] != SCHEMA:
            raise BadInput(f"problem schema {data['v']}, this ponder reads {SCHEMA}")
        task = data["task"]
        return cls(
            task=Task(
                messages=tuple(Message.from_json(message) for message in task["messages"]),
                answer=task["answer"],
                id=task["id"],
                metadata=task["metadata"],
            ),
            reference=data["reference"],
            grader=None if data["grader"] is None else Grader(**data["grader"]),
        )


class Family(Protocol):
    """A generator of problems."""

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct problems; a smaller count with the same seed gives the first of them.

        Raises:
            ConfigError: `count` is negative, or the family has fewer distinct prompts.
        """


def check_level(level: int | None) -> None:
    """Refuse a level that no family has.

    Raises:
        ConfigError: `level` is not one of `LEVELS`, nor None.
    """
    if level is not None and level not in LEVELS:
        raise ConfigError(f"level must be one of {', '.join(map(str, LEVELS))}, or none for a mix, got {level!r}")


def level_at(level: int | None, index: int) -> int:
    """Return the level of problem `index`: the one asked for, or all of them in turn."""
    return LEVELS[index % len(LEVELS)] if level is None else level


def draw(
    make: Callable[[random.Random, int], Problem], count: int, seed: int, name: str, *, level: int | None = None
) -> list[Problem]:
    """Call `make(stream, index)` until there are `count` problems with distinct prompts.

    Args:
        make: builds one problem from its own random stream; `index` counts from 0.
        count: how many, >= 0.
        seed: same seed, same problems.
        name: the family, which names the stream.
        level: keep problems of this difficulty alone; None keeps all.

    Raises:
        ConfigError: `count` is negative, or `make` has nothing new after many tries.
    """
    if count < 0:
        raise ConfigError(f"count must be at least 0, got {count!r}")
    problems: dict[str, Problem] = {}
    for index in range(count):
        for attempt in range(_TRIES):
            problem = make(derive(seed, "tasks", name, index, attempt), index)
            fits = level is None or problem.task.metadata["difficulty"] == level
            if fits and problem.task.prompt not in problems:
                problems[problem.task.prompt] = problem
                break
        else:
            raise ConfigError(f"{name} has no more than about {len(problems)} distinct prompts, {count} were asked for")
    return list(problems.values())
