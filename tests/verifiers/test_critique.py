"""The critique model as a verifier: reading critiques strictly, and what is missing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder import Budget, Candidate, Context, Image, Message, Meter, Score, ScriptedModel, Task
from ponder.core.errors import ConfigError
from ponder.core.model import Request
from ponder.core.trace import Trace
from ponder.verifiers.critique import Critique, critique_chat, critique_score, read_critique

TASK = Task.of("What is $2 + ${x}?", answer="number")
SOLUTION = "Two and two.\n\nThat makes 5.\nThe answer is 5."


def block(sentence: str, label: str) -> str:
    return f"Step sentence: {sentence}\nCorrectness of the step: {label}\nExplanation: because.\n\n"


def final(label: str) -> str:
    return f"Correctness of the final answer: {label}\nExplanation: because."


CRITIQUE = (
    block("Two and two.", "Correct")
    + block("That makes 5.", "Wrong")
    + block("The answer is 5.", "Wrong")
    + final("Wrong")
)


async def judge(texts: list[str], reply: Any, budget: Budget | None = None, **settings: Any) -> list[Score]:
    model = ScriptedModel(replies=reply if callable(reply) else [reply])
    ctx = Context(models={"policy": model}, meter=Meter(budget), trace=Trace(), method="test")
    found = await Critique(**settings).score(TASK, candidates(*texts), ctx)
    assert set(ctx.meter.nominal) <= {"critic"}
    return found


def candidates(*texts: str) -> list[Candidate]:
    return [Candidate(index=i, message=Message("assistant", text)) for i, text in enumerate(texts)]


def test_critique_of_the_card() -> None:
    reading = read_critique(CRITIQUE)
    assert reading.labels == [True, False, False]
    assert (reading.first_error, reading.verdict) == (2, False)
    assert reading.objects
    cut = read_critique(CRITIQUE.partition("Correctness of the final")[0])
    assert (cut.verdict, cut.labels) == (None, [True, False, False])


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("Correctness of the final answer: Correct", True),
        ("**Correctness of the final answer:** [Wrong].", False),
        ("correctness of the final answer: correct", True),
        ("Correctness of the final answer: not Wrong", None),
        ("Correctness of the final answer: Correct/Wrong", None),
        ("Correctness of the final answer: Incorrect", None),
        ("Correctness of the final answer:", None),
        ("The final answer is Correct", None),
        ("Correctness of the final answer: Correct\nCorrectness of the final answer: Wrong", None),
        ("Correctness of the final answer: Wrong\nCorrectness of the final answer: Wrong", False),
        ("", None),
    ],
)
def test_verdict_is_one_of_two_words(line: str, verdict: bool | None) -> None:
    assert read_critique(line).verdict is verdict


def test_label_that_cannot_be_read_is_missing() -> None:
    reading = read_critique(block("a", "unsure") + "Step sentence: b\nStep sentence: c\n" + final("Correct"))
    assert reading.labels == [None, None, None]
    assert (reading.first_error, reading.objects) == (None, False)


def test_labels_find_the_lines_that_they_repeat() -> None:
    lines = ["Two and two.", "That makes 5.", "The answer is 5."]
    assert read_critique(CRITIQUE).labels_of(lines) == [True, False, False]
    skipped = block("two and two", "Correct") + block("The answer is: 5", "Wrong")
    assert read_critique(skipped).labels_of(lines) == [True, None, False]
    assert read_critique("").labels_of(lines) == [None, None, None]


def test_score_holds_verdict_and_labels() -> None:
    score = critique_score(CRITIQUE, SOLUTION)
    assert (score.value, score.steps) == (0.0, (1.0, 0.0, 0.0))
    assert score.reason.startswith("Step sentence")
    assert critique_score(block("elsewhere", "Correct") + final("Correct"), SOLUTION).steps == ()
    assert critique_score("Looks fine.", SOLUTION).value is None


async def test_each_distinct_solution_is_criticised_once() -> None:
    asked: list[Request] = []

    def reply(request: Request, number: int) -> str:
        asked.append(request)
        return final("Correct" if "4" in request.messages[-1].text.partition("<solution>")[2] else "Wrong")

    scores = await judge(["It is 4.", "It is 5.", "It is 4."], reply, max_tokens=70)
    assert [score.value for score in scores] == [1.0, 0.0, 1.0]
    assert len(asked) == 2
    assert {(r.sampling.temperature, r.sampling.max_tokens) for r in asked} == {(0.0, 70)}


async def test_what_cannot_be_had_is_missing_with_its_reason() -> None:
    (score,) = await judge(["It is 4."], "I agree.")
    assert (score.value, "verdict" in score.reason) == (None, True)
    (score,) = await judge(["It is 4."], final("Correct"), Budget(tokens=1))
    assert (score.value, "not judged" in score.reason) == (None, True)


def test_solution_is_shown_line_by_line_without_blank_ones() -> None:
    (message,) = critique_chat(TASK, "a\n\n  b ${question}\n")
    assert "<solution>\na\nb ${question}\n</solution>" in message.text
    assert "What is $2 + ${x}?" in message.text


def test_chat_is_shown_with_roles_and_images() -> None:
    image = Image(url="https://example.org/a.png")
    task = Task.of([Message("system", "Be brief."), Message("user", "What is this?", images=(image,))])
    (message,) = critique_chat(task, "x")
    assert "system: Be brief.\n\nuser: What is this?" in message.text
    assert message.images == (image,)


@given(st.text(alphabet=st.sampled_from("Correctness of the stepfinalansw:[]* \nWrong"), max_size=200))
def test_reading_never_fails(text: str) -> None:
    reading = read_critique(text)
    assert reading.objects in (True, False)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError):
        Critique(max_tokens=0)
    with pytest.raises(ConfigError):
        Critique(temperature=float("nan"))
