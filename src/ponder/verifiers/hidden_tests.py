"""Hidden tests: whether a program passes every test that its task does not show, in one run in the sandbox.

Source: our own. The tests are gold: graders put them into `task.metadata["hidden_tests"]` for the grading alone (a list
of Python statements, or of objects with stdin and stdout, as `unit_tests` reads them). `task.metadata["setup"]` is
code that stands before the program: the published prompt of a completion task with its imports and helpers. An answer
that is no program by itself, or that starts indented, is taken as a continuation of the setup.
Cost: no model call; one sandboxed run for each distinct program. Needs: what `sandbox` needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ponder.core.candidate import Candidate, Score
from ponder.core.registry import verifiers
from ponder.core.task import Message, Task
from ponder.verifiers.answers.code import find_code
from ponder.verifiers.sandbox import Confinement
from ponder.verifiers.unit_tests import UnitTests

__all__ = ["HiddenTests"]


@verifiers("hidden_tests", access=(), oracle=True)
@dataclass(frozen=True, kw_only=True)
class HiddenTests:
    """1 if a program passes every hidden test, else 0.

    Attributes:
        seconds: wall and CPU time of one program with all tests, > 0.
        memory: bytes of address space of one program.
        confinement: "bubblewrap", or "unconfined" for programs that you would run yourself.
    """

    seconds: float = 10.0
    memory: int = 512 * 2**20
    confinement: Confinement = "bubblewrap"

    def __post_init__(self) -> None:
        self._runner()

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: object) -> list[Score]:
        """Score every candidate; missing where the task has no hidden tests, the call failed, or no sandbox is there.

        Raises:
            BadInput: the tests of the task cannot be read.
        """
        hidden = task.metadata.get("hidden_tests", ())
        if not hidden:
            return [Score.missing("the task has no hidden tests") for _ in candidates]
        # One statement for all: nothing but "all passed" counts, and every run starts an interpreter.
        together = "\n".join(test for test in hidden if isinstance(test, str))
        tests = [*([together] if together else []), *(test for test in hidden if not isinstance(test, str))]
        setup = str(task.metadata.get("setup", ""))
        programs = [_whole(candidate, setup) for candidate in candidates]
        scores = await self._runner().score(replace(task, metadata={"tests": tests}), programs, ctx)
        return [
            score if score.value is None else Score(value=float(score.value == 1), reason=score.reason)
            for score in scores
        ]

    def _runner(self) -> UnitTests:
        return UnitTests(seconds=self.seconds, memory=self.memory, confinement=self.confinement)


def _whole(candidate: Candidate, setup: str) -> Candidate:
    """Return the candidate with its program put behind the setup, as the only program in its text."""
    program = find_code(candidate.text) if candidate.ok else None
    if not candidate.ok or (program is None and not setup):
        return candidate
    if program is None:
        program = setup + candidate.text
    elif program[0].isspace():
        program = f"{setup.rstrip()}\n{program}"
    else:
        program = f"{setup}\n\n{program}" if setup else program
    return replace(candidate, message=Message("assistant", f"```python\n{program}\n```"))
