"""Writing tasks: one sentence, question or JSON object under rules that a program can check from the prompt alone.

Source: our own; wordings chosen by measuring SmolLM2-135M at temperature 0.8, which keeps them about 3 times in 10.
No reference answer: the grader is the checker compiled from the prompt ("verifier = grader").
Cost: 40 completion tokens an answer are enough. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.core.task import Message, Task
from ponder.tasks.problem import Problem, check_level, draw

__all__ = ["Writing"]

_NOUNS = (
    "river apple stone garden music paper window bird ocean bread mountain train coffee winter bridge castle horse "
    "candle flower teacher lantern violin harbor pepper ladder blanket compass thunder orchard mirror basket rocket "
    "pillow anchor ribbon desert kettle umbrella hammer carpet island forest doctor market summer pencil tiger cheese "
    "letter silver button cloud morning village soldier wagon needle tower valley farmer"
)
_KEYS = "name age city color size title year price country animal weight author genre speed shape food"
_SCENES = "school work home holidays sports friends cooking travel nature animals weather history science music"
_RARE = "kgmpyc"


class _Ask(NamedTuple):
    """A prompt, the type of its answer, and its difficulty (1 easy to 3 hard)."""

    prompt: str
    answer: str = "text"
    difficulty: int = 2


def _include(stream: random.Random) -> _Ask:
    first, second, third = stream.sample(_NOUNS.split(), 3)
    return _Ask(f"Write a sentence that includes the words {first}, {second} and {third}.")


def _avoid(stream: random.Random) -> _Ask:
    letter = stream.choice(_RARE)
    word = stream.choice([noun for noun in _NOUNS.split() if letter not in noun])
    return _Ask(f'Write a short sentence with the word "{word}". Do not use the letter {letter}.')


def _json(stream: random.Random) -> _Ask:
    first, second = stream.sample(_KEYS.split(), 2)
    return _Ask(f'Write a JSON object with exactly the keys "{first}" and "{second}".', answer="json", difficulty=1)


def _question(stream: random.Random) -> _Ask:
    word, scene = stream.choice(_NOUNS.split()), stream.choice(_SCENES.split())
    return _Ask(f'Write a question about {scene} that contains the word "{word}".')


def _ending(stream: random.Random) -> _Ask:
    word, scene = stream.choice(_NOUNS.split()), stream.choice(_SCENES.split())
    return _Ask(f'Write a sentence about {scene} that ends with the word "{word}".', difficulty=3)


def _short(stream: random.Random) -> _Ask:
    word, scene, most = stream.choice(_NOUNS.split()), stream.choice(_SCENES.split()), stream.randint(8, 14)
    return _Ask(f'Write a sentence about {scene} with the word "{word}". Use at most {most} words.')


def _combined(stream: random.Random) -> _Ask:
    first, second = stream.sample(_NOUNS.split(), 2)
    letter = stream.choice([letter for letter in _RARE if letter not in first + second])
    return _Ask(
        f"Write a question that includes the words {first} and {second}. Use at most {stream.randint(10, 14)} words. "
        f"Do not use the letter {letter}.",
        difficulty=3,
    )


_MAKERS: dict[str, Callable[[random.Random], _Ask]] = {
    "include": _include,
    "avoid": _avoid,
    "json": _json,
    "question": _question,
    "ending": _ending,
    "short": _short,
    "combined": _combined,
}
_MIXED = ("include", "avoid", "json", "question", "ending")  # as measured together; a new rule would change the draw
_LEVELS = {1: ("json",), 2: ("include", "avoid", "question", "short"), 3: ("ending", "combined")}


@tasks("writing")
@dataclass(frozen=True, kw_only=True)
class Writing:
    """Writing under rules.

    Attributes:
        rule: one kind of rule, or "mixed" for all of a level in turn (without a level: the first five).
        level: 1, 2 or 3, with "mixed" alone, since a rule has its level; None takes what `rule` says.
    """

    rule: Literal["mixed", "include", "avoid", "json", "question", "ending", "short", "combined"] = "mixed"
    level: int | None = None

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.rule != "mixed" and self.rule not in _MAKERS:
            raise ConfigError(f"rule must be one of mixed, {', '.join(_MAKERS)}, got {self.rule!r}")
        if self.rule != "mixed" and self.level is not None:
            raise ConfigError(f"the rule {self.rule!r} has its own level: give the rule or the level")

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct tasks without references."""
        return draw(self._task, count, seed, f"writing_{self.rule}")

    def _task(self, stream: random.Random, index: int) -> Problem:
        rules = (self.rule,) if self.rule != "mixed" else _MIXED if self.level is None else _LEVELS[self.level]
        rule = rules[index % len(rules)]
        ask = _MAKERS[rule](stream)
        metadata = {"family": f"writing_{rule}", "difficulty": ask.difficulty, "max_tokens": 40}
        return Problem(task=Task(messages=(Message("user", ask.prompt),), answer=ask.answer, metadata=metadata))
