"""Ordering: who came in at which place of a race, from clues that leave one order only.

Source: our own; the clues are picked until trying every order leaves one, and no clue can be left out.
Levels: 1 has three runners and clues "before"; 2 four, also "directly after"; 3 five, also "not in place".
Measured (one sample -> any of 8; temperature 0.8, levels 1, 2, 3): SmolLM2-135M .30 -> .62, .22 -> .38, 0 (8 puzzles a
level), no better than guessing; Qwen2.5-Coder-0.5B .52 -> .83, .23 -> .50, .08 -> .33 (6 a level).
Cost: 8 completion tokens an answer are enough. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from typing import NamedTuple

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.core.seeds import derive
from ponder.core.task import Message, Task
from ponder.tasks.problem import Problem, check_level, draw, level_at

__all__ = ["Ordering"]

_NAMES = "Anna Ben Clara David Emma Felix Grace Henry Isla Jack Kim Leo Maria Noah Olivia Peter Rosa Sam Tina Victor"
_PLACES = ("first", "second", "third", "fourth")
Places = Sequence[int]  # by runner, 0 is the winner


class _Clue(NamedTuple):
    """A clue: the words, and whether it is true of an order."""

    words: str
    holds: Callable[[Places], bool]


@tasks("ordering")
@dataclass(frozen=True, kw_only=True)
class Ordering:
    """Races with three to five runners.

    Attributes:
        level: 1, 2 or 3; None takes them in turn.
        shots: solved puzzles of the same level before the question; >= 0.
    """

    level: int | None = None
    shots: int = 4

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.shots < 0:
            raise ConfigError(f"shots must be at least 0, got {self.shots!r}")

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct puzzles, each with the asked name as its reference."""
        return draw(self._race, count, seed, "ordering")

    def _race(self, stream: random.Random, index: int) -> Problem:
        level = level_at(self.level, index)
        shown = []
        for at in range(self.shots):
            question, answer = _make(derive(0, "tasks", "ordering", "shot", level, at), level)
            shown += [Message("user", question), Message("assistant", answer)]
        question, answer = _make(stream, level)
        metadata = {"family": "ordering", "difficulty": level, "max_tokens": 8}
        task = Task(messages=(*shown, Message("user", question)), metadata=metadata)
        return Problem(task=task, reference=answer)


def _make(stream: random.Random, level: int) -> tuple[str, str]:
    """Return a puzzle with one solution, and the name that it asks for."""
    names = stream.sample(_NAMES.split(), level + 2)
    places = stream.sample(range(len(names)), len(names))
    clues = _clues(names, places, level)
    stream.shuffle(clues)
    orders = list(permutations(range(len(names))))
    kept: list[_Clue] = []
    left = orders
    for clue in clues:
        fewer = [order for order in left if clue.holds(order)]
        if len(fewer) < len(left):
            kept, left = [*kept, clue], fewer
    for clue in tuple(kept):
        rest = [other for other in kept if other is not clue]
        if sum(all(other.holds(order) for other in rest) for order in orders) == 1:
            kept = rest
    asked = stream.randrange(len(names))
    place = "last" if asked == len(names) - 1 else _PLACES[asked]
    listed = ", ".join(names[:-1]) + f" and {names[-1]}"
    question = f"{listed} ran a race. {' '.join(clue.words for clue in kept)} Who came in {place}?"
    return question, names[places.index(asked)]


def _clues(names: Sequence[str], places: Places, level: int) -> list[_Clue]:
    """Return every true clue of the level; those of the kind "before" alone already leave one order."""
    runners = range(len(names))
    pairs = [(a, b) for a in runners for b in runners]
    clues = [
        _Clue(f"{names[a]} finished before {names[b]}.", partial(_before, a, b))
        for a, b in pairs
        if _before(a, b, places)
    ]
    if level >= 2:
        clues += [
            _Clue(f"{names[b]} finished directly after {names[a]}.", partial(_next, a, b))
            for a, b in pairs
            if _next(a, b, places)
        ]
    if level >= 3:
        clues += [
            _Clue(f"{names[a]} did not come in {_PLACES[at]}.", partial(_elsewhere, a, at))
            for a in runners
            for at in range(len(_PLACES))
            if _elsewhere(a, at, places)
        ]
    return clues


def _before(a: int, b: int, order: Places) -> bool:
    return order[a] < order[b]


def _next(a: int, b: int, order: Places) -> bool:
    return order[b] - order[a] == 1


def _elsewhere(a: int, at: int, order: Places) -> bool:
    return order[a] != at
