"""Multiplication stories: one-step word problems whose answer is the product of their two numbers.

Source: our own; made for SmolLM2-135M, which answers about 3 in 10 when sampled at temperature 0.8.
Cost: 40 completion tokens an answer are enough. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.core.task import Message, Task
from ponder.tasks.problem import Problem, check_level, draw

__all__ = ["MultiplicationStories"]

_NAMES = "Anna Ben Clara David Emma Felix Grace Henry Isla Jack Kim Leo Maria Noah Olivia Peter Rosa Sam Tina Victor"
# (holder, what it holds): "3 boxes", "each box holds 4 pens".
_THINGS = (
    ("box", "boxes", "pencils"),
    ("bag", "bags", "apples"),
    ("basket", "baskets", "eggs"),
    ("shelf", "shelves", "books"),
    ("jar", "jars", "cookies"),
    ("pack", "packs", "stickers"),
    ("vase", "vases", "flowers"),
    ("tray", "trays", "muffins"),
    ("tank", "tanks", "fish"),
    ("album", "albums", "photos"),
    ("crate", "crates", "oranges"),
    ("drawer", "drawers", "spoons"),
)
_STORIES = (
    "{name} has {a} {holders}. Each {holder} has {b} {things}. How many {things} does {name} have in total?",
    "{name} buys {a} {holders} of {things}. There are {b} {things} in each {holder}. "
    "How many {things} does {name} have altogether?",
    "There are {a} {holders} with {b} {things} in each {holder}. How many {things} are there in total?",
    "{name} fills {a} {holders} and puts {b} {things} in every {holder}. How many {things} does {name} use in all?",
)


@tasks("multiplication_stories")
@dataclass(frozen=True, kw_only=True)
class MultiplicationStories:
    """Stories with two factors in [smallest, largest].

    Attributes:
        smallest: least factor, >= 2.
        largest: greatest factor.
        level: 1 (product at most 9), 2 (at most 20) or 3; None mixes them as they come.
    """

    smallest: int = 2
    largest: int = 9
    level: int | None = None

    def __post_init__(self) -> None:
        check_level(self.level)
        if not 2 <= self.smallest <= self.largest:
            raise ConfigError(f"need 2 <= smallest <= largest, got {self.smallest!r} and {self.largest!r}")

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct stories with their products as references."""
        return draw(self._story, count, seed, "multiplication_stories", level=self.level)

    def _story(self, stream: random.Random, index: int) -> Problem:
        a, b = (stream.randint(self.smallest, self.largest) for _ in range(2))
        holder, holders, things = stream.choice(_THINGS)
        story = stream.choice(_STORIES).format(
            name=stream.choice(_NAMES.split()), a=a, b=b, holder=holder, holders=holders, things=things
        )
        difficulty = 1 if a * b <= 9 else 2 if a * b <= 20 else 3
        metadata = {"family": "multiplication_stories", "difficulty": difficulty, "max_tokens": 40}
        messages = (Message("user", f"{story} Reply with just the number."),)
        return Problem(task=Task(messages=messages, answer="number", metadata=metadata), reference=str(a * b))
