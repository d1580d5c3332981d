"""Reasoning Gym: about a hundred generated data sets of the package `reasoning-gym`, graded by its own scorers.

Source: reasoning-gym (Apache-2.0), which is called and not copied. Many of its tasks have more than one right answer,
so each problem keeps the place of its entry (data set, level, configuration, seed, index) as the grader's gold, from
which the entry is made again for its scorer. Full marks alone count as right.
Levels: those of the package's curricula, 1 being its easiest; what is easy differs from data set to data set, and a few
have no curriculum. Without a level the package's default configuration is used and no difficulty is stated.
Seen with version 0.1.25, two entries of each of 105 data sets: all are made and graded again from their place; the sets
boxnet, graph_color, propositional_logic, rubiks_cube and rush_hour keep no sample answer, and the scorer of
game_of_life_halting gives full marks to any text. No model was measured on them.
Cost: importing it takes about a second. Needs: the extra `gym`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ponder.core.errors import ConfigError
from ponder.core.registry import need, tasks
from ponder.core.task import Message, Task
from ponder.tasks.problem import Grader, Problem, check_level

__all__ = ["ReasoningGym", "make_dataset"]

_SIZE = 10_000  # always the same, since entries of some data sets depend on it; nearly all make them when asked


@tasks("reasoning_gym", needs=("gym",))
@dataclass(frozen=True, kw_only=True)
class ReasoningGym:
    """Problems of one data set.

    Attributes:
        dataset: its name in the package.
        level: 1, 2 or 3, of the data set's curriculum; None takes the package's default configuration.
        config: settings of the data set as a JSON object, on top of that: '{"min_terms": 3}'.
        instruction: what is said after the question; the answer is the whole reply, or what it marks as its answer.
        max_tokens: hint for the length of an answer, >= 1.
    """

    dataset: str = "chain_sum"
    level: int | None = None
    config: str = "{}"
    instruction: str = "Reply with the answer alone."
    max_tokens: int = 256

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens must be at least 1, got {self.max_tokens!r}")
        try:
            fits = isinstance(json.loads(self.config), dict)
        except ValueError:
            fits = False
        if not fits:
            raise ConfigError(f"config must be a JSON object, got {self.config!r}")

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct problems.

        Raises:
            ConfigError: no such data set, level or configuration, or fewer distinct prompts than asked for.
            MissingExtra: the package is not installed.
        """
        if count < 0:
            raise ConfigError(f"count must be at least 0, got {count!r}")
        problems: dict[str, Problem] = {}
        dataset = make_dataset(self.dataset, level=self.level, config=json.loads(self.config), seed=seed)
        for index in range(_SIZE):
            if len(problems) == count:
                return list(problems.values())
            problem = self._problem(dataset[index], index, seed)
            problems.setdefault(problem.task.prompt, problem)
        raise ConfigError(f"{self.dataset} has only {len(problems)} distinct prompts here, {count} were asked for")

    def _problem(self, entry: Mapping[str, Any], index: int, seed: int) -> Problem:
        metadata = {"family": f"reasoning_gym_{self.dataset}", "max_tokens": self.max_tokens}
        if self.level is not None:
            metadata["difficulty"] = self.level
        config = json.loads(self.config)
        place = {"dataset": self.dataset, "level": self.level, "config": config, "seed": seed, "index": index}
        prompt = f"{entry['question']}\n{self.instruction}".strip()
        return Problem(
            task=Task(messages=(Message("user", prompt),), metadata=metadata),
            reference=None if entry["answer"] is None else str(entry["answer"]),
            grader=Grader(verifier="reasoning_gym", gold={"reasoning_gym": place}),
        )


def make_dataset(name: str, *, level: int | None, config: Mapping[str, Any], seed: int) -> Any:
    """Return a data set of the package.

    Args:
        name: of the data set.
        level: of its curriculum, or None for the default configuration.
        config: further settings.
        seed: its entries depend on nothing but this, the settings and their index.

    Raises:
        ConfigError: no such data set, no such level, or settings that it refuses.
        MissingExtra: the package is not installed.
    """
    gym = need("reasoning_gym", extra="gym", feature="reasoning_gym")
    factory = need("reasoning_gym.factory", extra="gym", feature="reasoning_gym")
    given = {**config, "seed": seed, "size": _SIZE}
    try:
        if level is None:
            return gym.create_dataset(name, **given)
        curriculum = factory.create_curriculum(name)
        curriculum.set_global_level(level - 1)
        return factory.DATASETS[name][0](curriculum.generate_configuration(given))
    except (AssertionError, KeyError, TypeError, ValueError) as err:
        raise ConfigError(f"reasoning_gym {name!r}: {err}") from err
