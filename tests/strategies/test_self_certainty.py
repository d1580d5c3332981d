from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ponder import Access, Completion, Message, ModelInfo, Request, Result, ScriptedModel, Task, Usage, solve
from ponder.core.errors import AccessDenied
from ponder.core.model import Tokens
from ponder.core.seeds import sample_seed

TASK = Task.of("How many?", answer="number")


def certain(text: str, certainty: tuple[float, ...] | None, top: float | None = None) -> Completion:
    words = tuple(text.split(" "))
    step = None if top is None else (((0, words[0], top), (1, "?", top - 1.0)),) * len(words)
    return Completion(
        message=Message("assistant", text),
        finish="stop",
        usage=Usage(calls=1, prompt_tokens=2, completion_tokens=len(words)),
        tokens=Tokens(ids=tuple(range(len(words))), texts=words, logprobs=(-0.1,) * len(words), top=step),
        certainty=certainty,
    )


def model(replies: Sequence[Completion], **options: Any) -> ScriptedModel:
    shift = sample_seed(0, 0, "sample", TASK.id) % len(replies)
    ordered = [replies[(k - shift) % len(replies)] for k in range(len(replies))]
    return ScriptedModel(replies=ordered, **options)


async def run(replies: Sequence[Completion], **settings: Any) -> Result:
    return await solve(TASK, model=model(replies), method="self_certainty", n=len(replies), **settings)


async def test_most_certain_answer_wins_whatever_the_others_say() -> None:
    result = await run([certain("3", (1.0,)), certain("3 or 3", (2.0, 3.0, 1.0)), certain("7", (9.0,))])
    assert (result.answer, result.chosen) == ("7", 2)
    assert result.candidates[1].scores["self_certainty"].value == 2.0


async def test_certainty_is_a_mean_so_length_does_not_matter() -> None:
    result = await run([certain("1 and 1", (2.0, 2.0, 2.0)), certain("2", (2.0,))])
    assert result.chosen == 0
    assert result.candidates[0].scores == result.candidates[1].scores


async def test_output_without_an_answer_is_passed_over_unless_nothing_can_be_read() -> None:
    result = await run([certain("none", (9.0,)), certain("7", (1.0,))])
    assert result.answer == "7"
    result = await run([certain("none", (1.0,)), certain("nothing", (9.0,))])
    assert (result.answer, result.chosen) == (None, 1)
    assert "most certain output" in result.detail


async def test_missing_certainty_is_missing_not_zero() -> None:
    result = await run([certain("1", None), certain("2", (-0.5,))])
    assert result.answer == "2"
    assert result.candidates[0].scores["self_certainty"].value is None


async def test_full_logits_are_needed_unless_the_approximation_is_asked_for() -> None:
    few = frozenset({Access.TEXT, Access.TOP_LOGPROBS})
    replies = [certain("1", None, top=-2.0), certain("2", None, top=-0.1)]
    with pytest.raises(AccessDenied, match="needs logits"):
        await solve(TASK, model=model(replies, access=few), method="self_certainty", n=2)
    result = await solve(TASK, model=model(replies, access=few), method="self_certainty", n=2, top_k=2)
    assert result.answer == "2"
    assert "approximated" in result.candidates[0].scores["self_certainty"].reason


async def test_approximation_without_a_vocabulary_is_missing() -> None:
    bare = model([certain("1", None, top=-2.0)], info=ModelInfo(fingerprint="x"))
    result = await solve(TASK, model=bare, method="self_certainty", n=1, top_k=2)
    assert result.candidates[0].scores["self_certainty"].value is None


async def test_certainty_is_asked_for_while_sampling() -> None:
    seen: list[Request] = []

    def reply(request: Request, number: int) -> Completion:
        seen.append(replace(request))
        return certain("7", (1.0,))

    await solve(TASK, model=ScriptedModel(replies=reply), method="self_certainty", n=3)
    assert all(request.certainty for request in seen)
    assert len(seen) == 3
