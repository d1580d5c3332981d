"""Unit tests as a verifier: shares, reasons, and programs that cheat."""

from __future__ import annotations

import shutil

import pytest

from ponder.core.candidate import Candidate, Score
from ponder.core.errors import BadInput, ConfigError
from ponder.core.task import Message, Task
from ponder.verifiers.unit_tests import UnitTests

bubblewrap = pytest.mark.system("bubblewrap")
TESTS = ["assert add(1, 2) == 3", "assert add(-1, 1) == 0", "assert add('a', 'b') == 'ab'"]


def task(tests: list) -> Task:
    return Task(messages=(Message("user", "Write add(a, b)."),), answer="code", metadata={"tests": tests})


def fenced(code: str) -> str:
    return f"Here it is:\n```python\n{code}\n```\nDone."


async def scores(tests: list, *texts: str, verifier: UnitTests | None = None) -> list[Score]:
    shown = [Candidate(index=at, message=Message("assistant", text)) for at, text in enumerate(texts)]
    return await (verifier or UnitTests()).score(task(tests), shown, None)


@bubblewrap
async def test_score_is_the_share_of_tests_passed() -> None:
    good, half, bad, prose = await scores(
        TESTS,
        fenced("def add(a, b):\n    return a + b"),
        fenced("def add(a, b):\n    return int(a) + int(b)"),
        fenced("def add(a, b:\n"),
        "I cannot.",
    )
    assert (good.value, good.steps, good.reason) == (1.0, (1.0, 1.0, 1.0), "every test passes")
    assert half.value == pytest.approx(2 / 3)
    assert half.steps == (1.0, 1.0, 0.0)
    assert half.reason.startswith("ValueError: invalid literal")
    assert (bad.value, bad.steps) == (0.0, (0.0, 0.0, 0.0))
    assert bad.reason.startswith("SyntaxError")
    assert (prose.value, prose.reason) == (0.0, "there is no program in the answer")


@bubblewrap
async def test_program_is_imported_by_statements_and_run_by_inputs() -> None:
    code = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Pair:
    a: int
    b: int

def add(a, b):
    return Pair(a, b).a + Pair(a, b).b

if __name__ == "__main__":
    print(add(int(input()), 1))
"""
    (score,) = await scores([*TESTS, {"stdin": "2", "stdout": "3"}], fenced(code))
    assert score.value == 1.0, score


@bubblewrap
@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit(0)",
        "import os; os._exit(0)",
        "import atexit, os; atexit.register(os._exit, 0)\ndef add(a, b): return 0",
        "print('ok'); exit(0) if False else __import__('sys').exit(0)",
    ],
)
async def test_program_that_leaves_early_passes_nothing(code: str) -> None:
    (score,) = await scores(TESTS, fenced(code))
    assert score.value == 0.0


@bubblewrap
async def test_input_and_output_are_compared_by_line() -> None:
    tests = [{"stdin": "2 3\n", "stdout": "5\n"}, {"stdin": "1 1", "stdout": "2"}, {"stdout": "0"}]
    sums, silent = await scores(
        tests,
        fenced("a, b = map(int, (input() or '0 0').split())\nprint(a + b, end=' \\n\\n')"),
        fenced("pass"),
    )
    assert sums.steps == (1.0, 1.0, 0.0)
    assert sums.reason.startswith("EOFError")
    assert silent.value == 0.0
    assert silent.reason == "printed ''"


@bubblewrap
async def test_endless_program_fails_its_tests() -> None:
    (score,) = await scores(TESTS[:1], fenced("while True: pass"), verifier=UnitTests(seconds=1))
    assert (score.value, score.reason) == (0.0, "timeout")


@bubblewrap
async def test_no_tests_and_failed_calls_are_missing() -> None:
    (score,) = await scores([], fenced("x = 1"))
    assert (score.value, score.reason) == (None, "the task has no tests")
    (failed,) = await UnitTests().score(task(TESTS), [Candidate(index=0, error="down")], None)
    assert failed.value is None
    assert "down" in failed.reason


async def test_without_sandbox_every_score_is_missing_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (score,) = await scores(TESTS, fenced("def add(a, b): return a + b"))
    assert score.value is None
    assert "apt-get install bubblewrap" in score.reason
    trusting = UnitTests(confinement="unconfined")
    assert (await scores(TESTS, fenced("def add(a, b): return a + b"), verifier=trusting))[0].value == 1.0


@pytest.mark.parametrize("test", [3, {"stdin": "1"}, {"stdout": 1}, {"stdin": 1, "stdout": "1"}, None])
async def test_tests_that_cannot_be_read_are_refused(test: object) -> None:
    with pytest.raises(BadInput, match="a test is"):
        await scores([test], "x")


def test_settings_are_checked() -> None:
    for settings in ({"seconds": 0}, {"seconds": float("nan")}, {"memory": 0}):
        with pytest.raises(ConfigError):
            UnitTests(**settings)
