"""Which stop string ended an answer: step search must tell the end of a step from the end of the answer."""

from __future__ import annotations

from typing import Any

import pytest

import ponder
from ponder import Message, Model, Request, Sampling, ScriptedModel
from ponder.models._quirks import KINDS
from ponder.models._replies import Reply, completions
from ponder.models._streams import Stream

COUNT = Request(prompt="1, 2, 3, 4,", sampling=Sampling(temperature=0.0, max_tokens=12, stop=("zzz", ",")))
CHAT = Request(
    messages=(Message("user", "What is the capital of France?"),),
    sampling=Sampling(temperature=0.0, max_tokens=60, stop=("zzz",)),
)


async def check(model: Model) -> None:
    (counted,) = await model.generate(COUNT)
    assert (counted.text.strip(), counted.finish, counted.stop) == ("5", "stop", ",")
    (cut,) = await model.generate(Request(prompt=COUNT.prompt, sampling=Sampling(max_tokens=2, stop=("zzz",))))
    assert (cut.finish, cut.stop) == ("length", None)
    (ended,) = await model.generate(CHAT)
    if ended.finish == "stop":
        assert ended.stop == ""
    free = Request(messages=CHAT.messages, sampling=Sampling(temperature=0.0, max_tokens=60))
    (plain,) = await model.generate(free)
    assert plain.stop == ("" if plain.finish == "stop" else None)


async def test_scripted_says_which_stop_string_it_met() -> None:
    await check(ScriptedModel(replies=lambda request, number: " 5, 6" if request.prompt else "Paris in France"))


@pytest.mark.embedded
async def test_llamacpp_finds_out_which_stop_string_it_met(embedded: Model) -> None:
    await check(embedded)


@pytest.mark.embedded
@pytest.mark.torch
async def test_hf_says_which_stop_string_it_met() -> None:
    model = ponder.load("hf:smollm2")
    await check(model)
    await model.close()


@pytest.mark.parametrize(
    ("fields", "stop"),
    [
        ({"stop_reason": ","}, ","),
        ({"stop_reason": None}, ""),
        ({"matched_stop": 2}, ""),
        ({"matched_stop": ","}, ","),
        ({}, None),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_servers_that_tell_are_believed(fields: dict[str, Any], stop: str | None, streamed: bool) -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5}
    body = {"choices": [{"index": 0, "text": " 5", "finish_reason": "stop", **fields}], "usage": usage}
    if streamed:
        stream = Stream(1, kind=KINDS["vllm"], raw=True)
        list(stream.feed(body))
        reply = stream.reply()
    else:
        reply = Reply.of(body, 1)
    (done,) = completions(reply, COUNT, kind=KINDS["vllm"], bound=10)
    assert done.stop == stop
