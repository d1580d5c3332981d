from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from ponder.core.errors import BadReply
from ponder.core.usage import Usage
from ponder.models._llama_choice import Choice


def piece(text: str, token: int, total: int, value: float = -0.5) -> dict[str, Any]:
    top = [{"id": token, "token": text, "logprob": value}, {"id": 9, "token": "z", "logprob": -3.0}]
    logprobs = {"content": [{"id": token, "token": text, "logprob": value, "top_logprobs": top}]}
    choice = {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": None}
    return {"choices": [choice], "timings": {"predicted_n": total}}


def end(reason: str, total: int, cached: int = 0) -> dict[str, Any]:
    choice = {"index": 0, "text": "", "logprobs": None, "finish_reason": reason}
    usage = {"completion_tokens": total, "prompt_tokens_details": {"cached_tokens": cached}}
    return {"choices": [choice], "usage": usage, "timings": {"predicted_n": total}}


def build(*chunks: dict[str, Any], logprobs: int | None = None, first: bool = True) -> Choice:
    choice = Choice(prompt=7, logprobs=logprobs, first=first)
    for chunk in chunks:
        choice.add(chunk)
    return choice


def test_tokens_text_and_usage_are_put_together() -> None:
    done = build(piece("Hi", 1, 1), piece(" you", 2, 2), piece("", 0, 3), end("stop", 3)).completion()
    assert (done.text, done.finish) == ("Hi you", "stop")
    assert done.usage == Usage(calls=1, prompt_tokens=7, completion_tokens=3)
    assert done.sent is None
    assert done.tokens is not None
    assert (done.tokens.ids, done.tokens.texts) == ((1, 2, 0), ("Hi", " you", ""))
    assert done.tokens.logprobs is None
    assert done.tokens.top is None


def test_logprobs_and_top_are_given_as_asked() -> None:
    plain = build(piece("a", 1, 1), end("stop", 1), logprobs=0).completion().tokens
    rich = build(piece("a", 1, 1), end("stop", 1), logprobs=2).completion().tokens
    assert plain is not None
    assert rich is not None
    assert (plain.logprobs, plain.top) == ((-0.5,), None)
    assert rich.top == (((1, "a", -0.5), (9, "z", -3.0)),)


def test_tokens_without_a_chunk_are_counted_and_unknown() -> None:
    choice = Choice(prompt=7, logprobs=0, first=True)
    assert choice.add(piece("a", 1, 1)) == ("a", 1)
    assert choice.add(piece("🦄", 5, 4)) == ("🦄", 3)
    assert choice.add(end("length", 5)) == ("", 1)
    done = choice.completion()
    assert done.tokens is not None
    assert done.tokens.ids == (1, -1, -1, 5, -1)
    assert done.tokens.texts == ("a", "", "", "🦄", "")
    assert done.tokens.logprobs is not None
    assert [math.isnan(value) for value in done.tokens.logprobs] == [False, True, True, False, True]
    assert done.usage.completion_tokens == 5


def test_text_held_back_is_restored_when_the_answer_was_cut() -> None:
    asked: list[Sequence[int]] = []

    def spell(ids: Sequence[int]) -> str:
        asked.append(ids)
        return " 9"

    choice = build(piece("8", 1, 1), piece("", 2, 2), piece("", 3, 3), end("length", 3))
    assert choice.restore(spell) == " 9"
    assert asked == [[2, 3]]
    assert choice.completion().text == "8 9"


def test_nothing_is_restored_before_a_stop() -> None:
    choice = build(piece("8", 1, 1), piece("", 2, 2), end("stop", 2))
    assert choice.restore(lambda ids: "wrong") == ""
    assert choice.completion().text == "8"


def test_only_the_first_sibling_pays_for_the_prompt() -> None:
    chunks = (piece("a", 1, 1), end("length", 1, cached=6))
    first, second = build(*chunks).completion(), build(*chunks, first=False).completion()
    assert first.usage == second.usage == Usage(calls=1, prompt_tokens=7, completion_tokens=1)
    assert first.sent == Usage(calls=1, prompt_tokens=7, cached_tokens=6, completion_tokens=1)
    assert second.sent == Usage(calls=1, completion_tokens=1)


@pytest.mark.parametrize("chunk", [{}, {"choices": []}, {"choices": [{"text": "a"}]}, {"choices": 3}])
def test_a_strange_chunk_is_a_bad_reply(chunk: dict[str, Any]) -> None:
    with pytest.raises(BadReply):
        Choice(prompt=1, logprobs=None, first=True).add(chunk)
