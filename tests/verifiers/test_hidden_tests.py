from __future__ import annotations

import shutil

import pytest

from ponder.core.candidate import Candidate, Score
from ponder.core.errors import ConfigError
from ponder.core.task import Message, Task
from ponder.verifiers.hidden_tests import HiddenTests

bubblewrap = pytest.mark.system("bubblewrap")
SETUP = 'from math import prod\n\ndef mean(xs: list) -> float:\n    """Mean."""\n'
TESTS = ["assert mean([1, 3]) == 2", "assert mean([prod([2, 3])]) == 6"]


async def scores(*texts: str, hidden: object = TESTS, setup: str = "") -> list[Score]:
    task = Task(messages=(Message("user", "Write mean."),), metadata={"hidden_tests": hidden, "setup": setup})
    shown = [Candidate(index=at, message=Message("assistant", text)) for at, text in enumerate(texts)]
    return await HiddenTests().score(task, shown, None)


def fenced(code: str) -> str:
    return f"Sure:\n```python\n{code}\n```"


@bubblewrap
async def test_every_test_must_pass() -> None:
    good, partly, none = await scores(
        fenced("def mean(xs):\n    return sum(xs) / len(xs)"),
        fenced("def mean(xs):\n    return 2"),
        "I cannot.",
        setup="from math import prod",
    )
    assert (good.value, partly.value, none.value) == (1.0, 0.0, 0.0)
    assert "AssertionError" in partly.reason


@bubblewrap
async def test_setup_gives_imports_and_takes_continuations() -> None:
    whole, body, fenced_body = await scores(
        fenced("def mean(xs: list) -> float:\n    return sum(xs) / len(xs)"),
        "    return sum(xs) / len(xs)\n",
        fenced("    return sum(xs) / len(xs)"),
        setup=SETUP,
    )
    assert (whole.value, body.value, fenced_body.value) == (1.0, 1.0, 1.0)


@bubblewrap
async def test_printing_programs_can_be_asked_for_too() -> None:
    (right,) = await scores(fenced("print(int(input()) * 2)"), hidden=[{"stdin": "4", "stdout": "8"}])
    assert right.value == 1


async def test_without_tests_or_answer_or_sandbox_the_score_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    (untested,) = await scores(fenced("x = 1"), hidden=[])
    assert (untested.value, untested.reason) == (None, "the task has no hidden tests")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (unsafe,) = await scores(fenced("x = 1"))
    assert unsafe.value is None
    assert "bubblewrap" in unsafe.reason


def test_limits_must_make_sense() -> None:
    with pytest.raises(ConfigError):
        HiddenTests(seconds=0)
