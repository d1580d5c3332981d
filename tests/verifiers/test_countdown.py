from __future__ import annotations

import pytest

from ponder.core.candidate import Candidate, Score
from ponder.core.task import Message, Task
from ponder.verifiers.countdown import Countdown

PROMPT = "Use each of the numbers 3, 5 and 2 exactly once to make 16."


async def score(text: str, prompt: str = PROMPT) -> Score:
    candidate = Candidate(index=0, message=Message("assistant", text))
    (found,) = await Countdown().score(Task.of(prompt), [candidate], None)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "(3 + 5) * 2",
        "(3 + 5) * 2 = 16",
        "16 = 2*(5+3)",
        "First 3 + 5 = 8. So the answer is (3 + 5) \u00d7 2 = 16.",
        "2 x (3 + 5)",
        r"\((3 + 5) \cdot 2\)",
        r"\[(3 + 5) \times 2 = 16\]",
        "**(3 + 5) * 2**",
        "(3 + 5) * 2 = 17",  # what follows an equals sign is not looked at
    ],
)
async def test_expressions_that_make_the_target_pass(text: str) -> None:
    found = await score(text)
    assert found.value == 1, found.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3 + 5 * 2", "makes 13"),
        ("8 * 2 = 16", "uses [2, 8]"),
        ("(3 + 5) * 2 + 2 - 2", "uses [2, 2, 2, 3, 5]"),
        ("(3 + 5) * 2 / (5 - 5)", "uses [2, 3, 5, 5, 5]"),
        ("16", "no expression"),
        ("", "no expression"),
        ("I cannot.", "no expression"),
        ("(3 + 5 * 2", "no expression"),
        ("3 ** 5 + 2", "no expression"),
        ("((((" * 300 + "3+5", "no expression"),
    ],
)
async def test_other_answers_fail_with_the_reason(text: str, reason: str) -> None:
    found = await score(text)
    assert found.value == 0
    assert reason in found.reason


async def test_division_is_exact_and_by_zero_is_wrong() -> None:
    asked = "Numbers: [8, 3, 8, 3]. Target: 24."
    assert (await score("8 / (3 - 8 / 3)", asked)).value == 1
    by_zero = await score("8 / (3 - 3) + 8", asked)
    assert (by_zero.value, by_zero.reason) == (0.0, "the expression divides by zero")


async def test_other_prompts_and_failed_calls_give_no_score() -> None:
    assert (await score("3 + 5", "How much is 3 + 5?")).value is None
    (failed,) = await Countdown().score(Task.of(PROMPT), [Candidate(index=0, error="refused")], None)
    assert failed.value is None
    assert "refused" in failed.reason


@pytest.mark.parametrize(
    "prompt",
    [
        "Using the numbers 3, 5, 2, create an equation that equals 16.",
        "Numbers: 3 5 2. Target: 16.",
        "Use the numbers [3, 5, 2] to reach 16.",
    ],
)
async def test_other_wordings_are_read(prompt: str) -> None:
    assert (await score("(3 + 5) * 2", prompt)).value == 1
    assert (await score("3 + 5 + 2", prompt)).value == 0
