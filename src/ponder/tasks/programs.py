"""Programs: write a small Python function from its description, graded by hidden tests in the sandbox.

Source: our own; a function over a list of integers is put together from a selection, a change of each number and a
summary. The two tests in the prompt also stand in `metadata["tests"]`, for the verifier `unit_tests`; the hidden ones
(other lists, the empty one among them) are the grader's alone. The reference is one right program, for people.
Levels: 1 has one of the three parts, 2 two of them, 3 all of them with a double selection.
Measured (one sample -> any of 8; temperature 0.8): SmolLM2-135M .16 -> .50 at level 1, .02 -> .12 at level 2 (8
functions a level); Qwen2.5-Coder-0.5B .35 -> 1.0 and .23 -> .67 (6 a level). Level 3 was not measured.
Cost: 120 completion tokens an answer are enough. Needs: nothing beyond the base install; grading needs the sandbox.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.core.task import Message, Task
from ponder.tasks.problem import Grader, Problem, check_level, draw, level_at

__all__ = ["Programs"]

_FUNCTIONS = "solve compute process evaluate answer summarize transform analyze work_out find_result"


class _Part(NamedTuple):
    """One part of a description: its words and its code, each with a place "{}" for what it works on."""

    words: str
    code: str
    apply: Callable[[list[int]], object]


class _Where(NamedTuple):
    """A selection: an adjective or a clause, its condition as code, and the condition."""

    words: str
    code: str
    holds: Callable[[int], bool]


_ADJECTIVES = (
    _Where("even", "n % 2 == 0", lambda n: n % 2 == 0),
    _Where("odd", "n % 2 == 1", lambda n: n % 2 == 1),
    _Where("positive", "n > 0", lambda n: n > 0),
    _Where("negative", "n < 0", lambda n: n < 0),
)
_CHANGES = (
    ("the squares of the {}", "n * n", lambda n: n * n),
    ("the cubes of the {}", "n ** 3", lambda n: n**3),
    ("the doubles of the {}", "2 * n", lambda n: 2 * n),
    ("the absolute values of the {}", "abs(n)", abs),
)
_LIST = _Part("a list of {}, in the same order", "[{}]", list)
_SUMMARIES = (
    _Part("the sum of {}", "sum({})", sum),
    _Part("the largest of {} (0 if there are none)", "max(({}), default=0)", lambda found: max(found, default=0)),
    _Part("the smallest of {} (0 if there are none)", "min(({}), default=0)", lambda found: min(found, default=0)),
    _Part("a list of {}, sorted from small to large", "sorted({})", sorted),
    _Part("a list of {}, in reverse order", "[{}][::-1]", lambda found: found[::-1]),
)
_COUNT = _Part("the number of {}", "len([{}])", len)


@tasks("programs")
@dataclass(frozen=True, kw_only=True)
class Programs:
    """Functions over a list of integers.

    Attributes:
        level: 1, 2 or 3; None takes them in turn.
        hidden: tests that grade, >= 2; one of them is the empty list.
    """

    level: int | None = None
    hidden: int = 8

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.hidden < 2:
            raise ConfigError(f"hidden must be at least 2, got {self.hidden!r}")

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct functions to write, each with its hidden tests."""
        return draw(self._function, count, seed, "programs")

    def _function(self, stream: random.Random, index: int) -> Problem:
        level = level_at(self.level, index)
        words, code, function = _describe(stream, level)
        name = stream.choice(_FUNCTIONS.split())

        def test(numbers: list[int]) -> str:
            return f"assert {name}({numbers}) == {function(numbers)}"

        shown = [test(_numbers(stream)) for _ in range(2)]
        hidden = [test([]), *(test(_numbers(stream)) for _ in range(self.hidden - 1))]
        prompt = (
            f"Write a Python function {name}(numbers) that takes a list of integers and returns {words}. "
            "It must pass these tests:\n" + "\n".join(shown)
        )
        metadata = {"family": "programs", "difficulty": level, "max_tokens": 120, "tests": shown}
        return Problem(
            task=Task(messages=(Message("user", prompt),), answer="code", metadata=metadata),
            reference=f"def {name}(numbers):\n    return {code}",
            grader=Grader(verifier="hidden_tests", gold={"hidden_tests": hidden}),
        )


def _numbers(stream: random.Random) -> list[int]:
    return [stream.randint(-20, 30) for _ in range(stream.randint(4, 8))]


def _describe(stream: random.Random, level: int) -> tuple[str, str, Callable[[list[int]], object]]:
    """Return a description, its code, and its function."""
    parts = {"where", "change", "summary"}
    if level < 3:
        parts = set(stream.sample(sorted(parts), level))
    wheres: list[_Where] = []
    if "where" in parts:
        wheres.append(stream.choice(_ADJECTIVES[:2] if level == 3 else _ADJECTIVES))
        if level == 3:
            wheres.append(_bound(stream))
        elif stream.random() < 0.5:
            wheres = [_bound(stream)]
    noun = " ".join([*(w.words for w in wheres if " " not in w.words), "numbers", *_clauses(wheres)])
    change, changed, convert = stream.choice(_CHANGES) if "change" in parts else ("the {}", "n", lambda n: n)
    summaries = [*_SUMMARIES, _COUNT] if parts == {"where", "summary"} else list(_SUMMARIES)
    summary = stream.choice(summaries) if "summary" in parts else _LIST
    condition = " and ".join(where.code for where in wheres)
    loop = f"{changed} for n in numbers" + (f" if {condition}" if condition else "")

    def function(numbers: list[int]) -> object:
        return summary.apply([convert(n) for n in numbers if all(where.holds(n) for where in wheres)])

    return summary.words.format(change.format(noun)), summary.code.format(loop), function


def _bound(stream: random.Random) -> _Where:
    limit = stream.randint(-5, 12)
    if stream.random() < 0.5:
        return _Where(f"greater than {limit}", f"n > {limit}", lambda n: n > limit)
    return _Where(f"less than {limit}", f"n < {limit}", lambda n: n < limit)


def _clauses(wheres: list[_Where]) -> list[str]:
    return [where.words for where in wheres if " " in where.words]
