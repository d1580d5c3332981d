"""Stateful stories: a context that is known before, and several questions about it that come later.

Source: our own, after the stateful tasks of sleep-time compute, arXiv:2504.13171 (card 37). Each context states a few
numbers of a small shop or farm; questions ask for products, sums and differences of them. A problem's metadata hold
"context", "question" and "context_id", which its id begins with; its prompt holds both texts. Problems of one context
follow each other.
Cost: 60 completion tokens an answer are enough. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.core.seeds import derive
from ponder.core.task import Message, Task
from ponder.tasks.problem import Problem, check_level

__all__ = ["Stateful"]

_NAMES = "Anna Ben Clara David Emma Felix Grace Henry Isla Jack Kim Leo Maria Noah Olivia Peter"
_THINGS = (("boxes", "pens"), ("bags", "apples"), ("crates", "bottles"), ("trays", "eggs"), ("shelves", "books"))
_TRIES = 200


@dataclass(frozen=True)
class _World:
    name: str
    holders: str
    things: str
    count: int
    each: int
    sold: int
    price: int
    more: int

    @property
    def total(self) -> int:
        return self.count * self.each

    def context(self) -> str:
        return (
            f"{self.name} has {self.count} {self.holders}. Each of them holds {self.each} {self.things}. On Monday"
            f" {self.name} sells {self.sold} {self.things}, for {self.price} dollars each. On Tuesday {self.more} more"
            f" {self.things} are delivered."
        )


# (level, question, answer): how likely a question is, given the context, differs.
_Question = tuple[int, Callable[[_World], str], Callable[[_World], int]]
_QUESTIONS: tuple[_Question, ...] = (
    (1, lambda w: f"How many {w.things} does {w.name} have at first?", lambda w: w.total),
    (1, lambda w: f"How many dollars does {w.name} earn on Monday?", lambda w: w.sold * w.price),
    (2, lambda w: f"How many {w.things} are left after Monday?", lambda w: w.total - w.sold),
    (2, lambda w: f"How many {w.things} do {w.count + 2} such {w.holders} hold?", lambda w: (w.count + 2) * w.each),
    (3, lambda w: f"How many {w.things} are there after Tuesday?", lambda w: w.total - w.sold + w.more),
    (
        3,
        lambda w: f"How many dollars would all {w.things} that are left after Monday bring at the same price?",
        lambda w: (w.total - w.sold) * w.price,
    ),
    (
        3,
        lambda w: f"If {w.name} gave 3 {w.things} away after Tuesday, how many would there be?",
        lambda w: w.total - w.sold + w.more - 3,
    ),
)


@tasks("stateful")
@dataclass(frozen=True, kw_only=True)
class Stateful:
    """Contexts with questions.

    Attributes:
        questions: about each context, in [1, 7].
        level: 1, 2 or 3: of the questions, of which there are 2, 2 and 3 for a context; None mixes them.
    """

    questions: int = 5
    level: int | None = None

    def __post_init__(self) -> None:
        check_level(self.level)
        most = len(self._asked())
        if not 1 <= self.questions <= len(_QUESTIONS):
            raise ConfigError(f"questions must be in [1, {len(_QUESTIONS)}], got {self.questions!r}")
        if self.level is not None and self.questions > most:
            object.__setattr__(self, "questions", most)

    def _asked(self) -> list[_Question]:
        return [question for question in _QUESTIONS if self.level in (None, question[0])]

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct problems, those of a context side by side; a smaller count gives the first of them.

        Raises:
            ConfigError: `count` is negative, or there are no more contexts.
        """
        if count < 0:
            raise ConfigError(f"count must be at least 0, got {count!r}")
        problems: list[Problem] = []
        seen: set[str] = set()
        while len(problems) < count:
            number = len(problems) // self.questions
            for attempt in range(_TRIES):
                stream = derive(seed, "tasks", "stateful", number, attempt)
                world = _world(stream)
                if world.context() not in seen:
                    break
            else:
                raise ConfigError(f"stateful has no more than about {len(seen)} distinct contexts")
            seen.add(world.context())
            chosen = sorted(stream.sample(range(len(self._asked())), self.questions))
            problems += [_problem(world, self._asked()[at], k) for k, at in enumerate(chosen)]
        return problems[:count]


def _world(stream: random.Random) -> _World:
    holders, things = stream.choice(_THINGS)
    count, each = stream.randint(2, 9), stream.randint(3, 9)
    return _World(
        name=stream.choice(_NAMES.split()),
        holders=holders,
        things=things,
        count=count,
        each=each,
        sold=stream.randint(2, count * each - 2),
        price=stream.randint(2, 9),
        more=stream.randint(4, 20),
    )


def _problem(world: _World, asked: _Question, number: int) -> Problem:
    level, question, answer = asked
    context = world.context()
    spoken = f"{question(world)} Reply with just the number."
    metadata = {
        "family": "stateful",
        "difficulty": level,
        "max_tokens": 60,
        "context": context,
        "question": spoken,
        "context_id": f"stateful-{sha256(context.encode()).hexdigest()[:12]}",
    }
    messages = (Message("user", f"{context} {spoken}"),)
    place = f"{metadata['context_id']}/{number}"
    return Problem(
        task=Task(messages=messages, answer="number", id=place, metadata=metadata), reference=str(answer(world))
    )
