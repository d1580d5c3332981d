"""Unit tests: the share of the prompt's own tests that a program passes, each run in the sandbox.

Source: our own. The tests stand in `task.metadata["tests"]`: a list of Python statements that fail by an exception
(`"assert add(1, 2) == 3"`), or of objects `{"stdin": ..., "stdout": ...}` whose output is compared line by line,
white space at line ends aside. They must be visible in the prompt: hidden tests are gold and belong to the grader.
A statement sees the program as an imported module, and passes only if it is reached: a program that leaves early fails.
Cost: no model call; one sandboxed run for each test of each distinct program. Needs: what `sandbox` needs.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from ponder.core.candidate import Candidate, Score
from ponder.core.errors import BadInput, ConfigError, MissingExtra
from ponder.core.registry import verifiers
from ponder.core.task import Task
from ponder.core.tasks import gather_all
from ponder.verifiers.answers.code import find_code
from ponder.verifiers.sandbox import Confinement, Limits, require, run

__all__ = ["UnitTests"]


# As a module that is imported: what stands under `if __name__ == "__main__"` is not part of the answer.
_STATEMENT = """
import sys
answer = sys.modules["answer"] = type(sys)("answer")
exec({program!r}, answer.__dict__)
exec({statement!r}, answer.__dict__)
print()
print({reached!r})
"""


class _Test(NamedTuple):
    """A statement, or an input with the output that is wanted."""

    statement: str = ""
    stdin: str = ""
    stdout: str | None = None


@verifiers("unit_tests", access=())
@dataclass(frozen=True, kw_only=True)
class UnitTests:
    """Share of the tests passed, in [0, 1]; `steps` holds 1 or 0 for each test.

    Attributes:
        seconds: wall and CPU time of one test, > 0.
        memory: bytes of address space of one test.
        confinement: "bubblewrap", or "unconfined" for programs that you would run yourself.
    """

    seconds: float = 5.0
    memory: int = 512 * 2**20
    confinement: Confinement = "bubblewrap"

    def __post_init__(self) -> None:
        if not self.seconds > 0 or self.memory < 1:
            raise ConfigError("unit tests need seconds > 0 and memory >= 1")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: object) -> list[Score]:
        """Score every candidate; missing where the call failed, the task has no tests, or no sandbox can be had.

        Raises:
            BadInput: the tests of the task cannot be read.
        """
        tests = _read_tests(task)
        programs = [find_code(candidate.text) if candidate.ok else None for candidate in candidates]
        distinct = list(dict.fromkeys(program for program in programs if program is not None))
        try:
            require(self.confinement)
            found = await gather_all([partial(self._judge, program, tests) for program in distinct])
        except MissingExtra as err:
            return [Score.missing(err) for _ in candidates]
        scores = dict(zip(distinct, found, strict=True))
        return [
            _without_program(candidate, tests) if program is None else scores[program]
            for candidate, program in zip(candidates, programs, strict=True)
        ]

    async def _judge(self, program: str, tests: Sequence[_Test]) -> Score:
        if not tests:
            return Score.missing("the task has no tests")
        problems = await gather_all([partial(self._problem, program, test) for test in tests])
        passed = tuple(float(not problem) for problem in problems)
        reason = next((problem for problem in problems if problem), "every test passes")
        return Score(value=sum(passed) / len(passed), steps=passed, reason=reason)

    async def _problem(self, program: str, test: _Test) -> str:
        """Run one test; return what is wrong, or an empty text."""
        reached = secrets.token_hex(8)  # the program cannot know it, so it cannot pretend
        text = program
        if test.stdout is None:
            text = _STATEMENT.format(program=program, statement=test.statement, reached=reached)
        limits = Limits(seconds=self.seconds, cpu_seconds=max(1, round(self.seconds)), memory=self.memory)
        outcome = await run(text, stdin=test.stdin, limits=limits, confinement=self.confinement)
        if outcome.problem:
            return outcome.problem
        if test.stdout is None:
            ended = outcome.stdout.rstrip("\n").rpartition("\n")[2] == reached
            return "" if ended else "the program ended before the test"
        return "" if _lines(outcome.stdout) == _lines(test.stdout) else f"printed {outcome.stdout[:200]!r}"


def _without_program(candidate: Candidate, tests: Sequence[_Test]) -> Score:
    if not candidate.ok:
        return Score.missing(f"no text to check: {candidate.error or 'the call failed'}")
    if not tests:
        return Score.missing("the task has no tests")
    return Score(value=0.0, steps=(0.0,) * len(tests), reason="there is no program in the answer")


def _lines(output: str) -> list[str]:
    return [line.rstrip() for line in output.rstrip().split("\n")]


def _read_tests(task: Task) -> list[_Test]:
    tests = []
    for given in task.metadata.get("tests", ()):
        match given:
            case str():
                tests.append(_Test(statement=given))
            case Mapping() if isinstance(given.get("stdout"), str) and isinstance(given.get("stdin", ""), str):
                tests.append(_Test(stdin=given.get("stdin", ""), stdout=given["stdout"]))
            case _:
                raise BadInput(f"a test is a statement or an object with stdin and stdout, got {given!r}")
    return tests
