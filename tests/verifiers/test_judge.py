"""The judge: prompt, parsing, and verdicts that are missing rather than zero."""

from collections.abc import Sequence
from typing import cast

import pytest

from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import ConfigError, OutOfBudget, ProviderTimeout
from ponder.core.model import Completion, Sampling
from ponder.core.task import Image, Message, Task
from ponder.core.usage import Usage
from ponder.verifiers.judge import Judge, read_score

TASK = Task.of("Name a $river. ${answer}")


class Desk:
    """A context whose judge replies from a table of answer text -> verdict or error."""

    def __init__(self, verdicts: dict[str, str | Exception]) -> None:
        self.verdicts = verdicts
        self.asked: list[tuple[str, tuple[str | int, ...], Sampling]] = []
        self.messages: list[Message] = []

    def model(self, role: str) -> "Desk":
        assert role == "judge"
        return self

    async def ask(self, messages: Sequence[Message], *, path: tuple[str | int, ...], sampling: Sampling) -> Completion:
        (message,) = messages
        answer = message.text.split("<answer>\n", 1)[1].split("\n</answer>")[0]
        self.asked.append((answer, path, sampling))
        self.messages.append(message)
        verdict = self.verdicts[answer]
        if isinstance(verdict, Exception):
            raise verdict
        return Completion(message=Message("assistant", verdict), finish="length", usage=Usage(calls=1))


@pytest.mark.parametrize(
    ("verdict", "score"),
    [
        ("Good.\nScore: 7", 7.0),
        ("**Score:** 8/10", 8.0),
        ("score = 6.5 / 10.", 6.5),
        ("Score: 10", 10.0),
        ("Score: 0", 0.0),
        ("Score: 7\nScore: 7", 7.0),
        ("Score: 7 or Score: 8", None),
        ("Score: 11", None),
        ("Score: -1", None),
        ("Score: 7/100", None),
        ("Score: nan", None),
        ("I would say 7", None),
        ("7", None),
        ("Score: N", None),
        ("\x00", None),
        ("", None),
    ],
)
def test_read_score_is_strict(verdict: str, score: float | None) -> None:
    assert read_score(verdict) == score


async def test_each_distinct_answer_is_judged_once_and_greedily() -> None:
    desk = Desk({"Rhine": "Fine.\nScore: 9", "Alps": "Score: 1"})
    scores = await Judge(max_tokens=50).score(TASK, candidates("Rhine", "Alps", "Rhine"), cast(Context, desk))
    assert [score.value for score in scores] == [9.0, 1.0, 9.0]
    assert [(answer, path) for answer, path, _ in desk.asked] == [("Rhine", ("judge", 0)), ("Alps", ("judge", 1))]
    assert {(sampling.temperature, sampling.max_tokens) for _, _, sampling in desk.asked} == {(0.0, 50)}


async def test_what_cannot_be_read_or_sent_is_missing_with_its_reason() -> None:
    desk = Desk(
        {
            "a": "no idea",
            "b": ProviderTimeout("too slow"),
            "c": OutOfBudget("calls", limit=2, needed=3),
            "d": "Score: 4",
        }
    )
    scores = await Judge().score(
        TASK, [*candidates("a", "b", "c", "d"), Candidate(index=4, error="down")], cast(Context, desk)
    )
    assert [score.value for score in scores] == [None, None, None, 4.0, None]
    for score, reason in zip(scores, ["cut", "too slow", "budget reached", "Score: 4", "down"], strict=True):
        assert reason in score.reason


async def test_texts_with_marks_of_the_template_are_shown_as_they_are() -> None:
    desk = Desk({"${request} $$ \x00": "Score: 5"})
    await Judge().score(TASK, candidates("${request} $$ \x00"), cast(Context, desk))
    assert "Name a $river. ${answer}" in desk.messages[0].text


async def test_a_chat_is_shown_with_its_roles_and_images() -> None:
    image = Image(url="https://example.org/a.png")
    chat = Task.of([Message("system", "Be brief."), Message("user", "What is this?", images=(image,))])
    desk = Desk({"x": "Score: 5"})
    await Judge().score(chat, candidates("x"), cast(Context, desk))
    assert "system: Be brief.\n\nuser: What is this?" in desk.messages[0].text
    assert desk.messages[0].images == (image,)


async def test_a_megabyte_is_shown_cut() -> None:
    desk = Desk({"a" * 100_000: "Score: 5"})
    (score,) = await Judge().score(TASK, candidates("a" * 1_000_000), cast(Context, desk))
    assert score.value == 5.0


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError):
        Judge(max_tokens=0)
    with pytest.raises(ConfigError):
        Judge(temperature=float("nan"))


def candidates(*texts: str) -> list[Candidate]:
    return [Candidate(index=i, message=Message("assistant", text)) for i, text in enumerate(texts)]
