"""Look-up: follow k relations through a corpus of invented facts, which no model can know beforehand.

Source: our own. The corpus is part of the prompt, or (setting `corpus="metadata"`) stands in `metadata["documents"]`,
one fact a document, for methods that retrieve. Every fact has one answer: a person has one teacher, one neighbour, ...
Levels: 1 is one hop among four facts, 2 two hops among six, 3 three hops among eight.
Measured (one sample -> any of 8; temperature 0.8, level 1): SmolLM2-135M .26 -> .64 (50 questions);
all levels: Qwen2.5-Coder-0.5B .53 -> .77 (30).
Cost: 24 completion tokens an answer are enough. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.core.seeds import derive
from ponder.core.task import Message, Task
from ponder.tasks.problem import Problem, check_level, draw, level_at

__all__ = ["Lookup"]

_NAMES = (
    "Anna Ben Clara David Emma Felix Grace Henry Isla Jack Kim Leo Maria Noah Olivia Peter Rosa Sam Tina Victor "
    "Alice Bob Carol Dan Eve Frank Gina Hugo Ivy James Kate Luke Mia Nick Owen Paul Ruth Sara Tom Zoe"
)
_RELATIONS = ("teacher", "neighbor", "boss", "doctor", "friend", "cousin")
_FACTS = {1: 4, 2: 6, 3: 8}


class _Quiz(NamedTuple):
    """Facts in the order shown, who is asked for ("Ben's boss's doctor"), and the name that answers."""

    facts: list[str]
    asked: str
    answer: str

    @property
    def shown(self) -> str:
        """The facts and the question."""
        return "\n".join([*self.facts, f"Who is {self.asked}?"])

    @property
    def sentence(self) -> str:
        """The answer in full, which small models get right more often than the name alone."""
        return f"{self.asked} is {self.answer}."


@tasks("lookup")
@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Questions of one to three hops.

    Attributes:
        level: 1, 2 or 3, which is also the number of hops; None takes them in turn.
        corpus: where the facts stand.
        facts: how many there are, at least the hops and at most 200; None goes by the level.
        shots: answered questions of the same level, each with its own facts, before a question that shows its facts;
            >= 0.
    """

    level: int | None = None
    corpus: Literal["prompt", "metadata"] = "prompt"
    facts: int | None = None
    shots: int = 4

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.corpus not in ("prompt", "metadata"):
            raise ConfigError(f"corpus must be prompt or metadata, got {self.corpus!r}")
        if self.facts is not None and not (self.level or 3) <= self.facts <= 200:
            raise ConfigError(f"facts must be at least the hops and at most 200, got {self.facts!r}")
        if self.shots < 0:
            raise ConfigError(f"shots must be at least 0, got {self.shots!r}")

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct questions, each with its answer: a sentence, or a name if no fact is shown."""
        return draw(self._question, count, seed, "lookup")

    def _question(self, stream: random.Random, index: int) -> Problem:
        level = level_at(self.level, index)
        quiz = self._quiz(stream, level)
        metadata = {"family": "lookup", "difficulty": level, "max_tokens": 24}
        if self.corpus == "metadata":
            prompt = Message("user", f"Who is {quiz.asked}? Reply with the name alone.")
            task = Task(messages=(prompt,), metadata={**metadata, "documents": quiz.facts})
            return Problem(task=task, reference=quiz.answer)
        messages = []
        for at in range(self.shots):
            shot = self._quiz(derive(0, "tasks", "lookup", "shot", level, at), level)
            messages += [Message("user", shot.shown), Message("assistant", shot.sentence)]
        task = Task(messages=(*messages, Message("user", quiz.shown)), metadata=metadata)
        return Problem(task=task, reference=quiz.sentence)

    def _quiz(self, stream: random.Random, hops: int) -> _Quiz:
        size = _FACTS[hops] if self.facts is None else self.facts
        names = stream.sample(_NAMES.split(), len(_NAMES.split()))[: size + hops + 1]
        chain, others = names[: hops + 1], names[hops + 1 :]
        relations = [stream.choice(_RELATIONS) for _ in range(hops)]
        facts = {(chain[hop], relations[hop]): chain[hop + 1] for hop in range(hops)}
        while len(facts) < size:  # distractors share relations, and sometimes persons, with the chain
            subject, relation = stream.choice(names), stream.choice(_RELATIONS)
            if (subject, relation) not in facts:
                facts[subject, relation] = stream.choice([name for name in others if name != subject])
        lines = [f"{subject}'s {relation} is {other}." for (subject, relation), other in facts.items()]
        stream.shuffle(lines)
        asked = chain[0] + "".join(f"'s {relation}" for relation in relations)
        return _Quiz(lines, asked, chain[-1])
