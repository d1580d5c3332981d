"""Knights and knaves: who tells the truth and who lies, from what each one says about the others.

Source: our own generator of the classical puzzle; every puzzle has exactly one solution, found by trying all of them.
Levels: 1 has two people, 2 three, 3 four.
Measured (one sample -> any of 8; temperature 0.8, levels 1, 2, 3): SmolLM2-135M .12 -> .50, 0, 0 (8 puzzles a
level); Qwen2.5-Coder-0.5B .31 -> .50, .06 -> .33, 0 (6 a level). Guessing gets 1 in 4, 8 and 16: a wide range for
larger models.
Cost: 48 completion tokens an answer are enough. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.core.seeds import derive
from ponder.core.task import Message, Task
from ponder.tasks.problem import Problem, check_level, draw, level_at

__all__ = ["KnightsAndKnaves"]

_NAMES = "Anna Ben Clara David Emma Felix Grace Henry Isla Jack Kim Leo Maria Noah Olivia Peter Rosa Sam Tina Victor"
_RULE = "Knights always tell the truth, knaves always lie."
_KIND = {True: "knight", False: "knave"}
Kinds = Sequence[bool]  # True for a knight, by person


class _Says(NamedTuple):
    """What somebody says: the words, and whether it is true of an assignment."""

    words: str
    holds: Callable[[Kinds], bool]


@tasks("knights_and_knaves")
@dataclass(frozen=True, kw_only=True)
class KnightsAndKnaves:
    """Puzzles with two to four people.

    Attributes:
        level: 1, 2 or 3; None takes them in turn.
        shots: solved puzzles of the same level before the question; >= 0.
    """

    level: int | None = None
    shots: int = 3

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.shots < 0:
            raise ConfigError(f"shots must be at least 0, got {self.shots!r}")

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct puzzles with their only solutions as references."""
        return draw(self._puzzle, count, seed, "knights_and_knaves")

    def _puzzle(self, stream: random.Random, index: int) -> Problem:
        level = level_at(self.level, index)
        shown = []
        for at in range(self.shots):
            question, answer = _make(derive(0, "tasks", "knights_and_knaves", "shot", level, at), level + 1)
            shown += [Message("user", question), Message("assistant", answer)]
        question, answer = _make(stream, level + 1)
        metadata = {"family": "knights_and_knaves", "difficulty": level, "max_tokens": 48}
        task = Task(messages=(*shown, Message("user", question)), metadata=metadata)
        return Problem(task=task, reference=answer)


def _make(stream: random.Random, people: int) -> tuple[str, str]:
    """Return a puzzle with one solution, and the solution."""
    names = stream.sample(_NAMES.split(), people)
    while True:
        said = [_statement(stream, person, names) for person in range(people)]
        solutions = [
            kinds
            for kinds in product((True, False), repeat=people)
            if all(says.holds(kinds) == kind for says, kind in zip(said, kinds, strict=True))
        ]
        if len(solutions) == 1:
            break
    lines = " ".join(f'{name} says: "{says.words}"' for name, says in zip(names, said, strict=True))
    listed = ", ".join(f"{name}: {_KIND[kind]}" for name, kind in zip(names, solutions[0], strict=True))
    return f"{_RULE} {lines} Who is a knight and who is a knave?", listed


def _statement(stream: random.Random, speaker: int, names: Sequence[str]) -> _Says:
    others = [person for person in range(len(names)) if person != speaker]
    a = stream.choice(others)
    match stream.randrange(5 if len(others) > 1 else 4):
        case 0:
            return _Says(f"{names[a]} is a knight.", lambda kinds: kinds[a])
        case 1:
            return _Says(f"{names[a]} is a knave.", lambda kinds: not kinds[a])
        case 2:
            return _Says(f"{names[a]} and I are the same kind.", lambda kinds: kinds[a] == kinds[speaker])
        case 3:
            words = f"{names[a]} or I am a knave, or both of us are."
            return _Says(words, lambda kinds: not (kinds[a] and kinds[speaker]))
    b = stream.choice([person for person in others if person != a])
    return _Says(f"{names[a]} and {names[b]} are of different kinds.", lambda kinds: kinds[a] != kinds[b])
