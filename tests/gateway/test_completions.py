"""Raw completions: prompts of all forms, echo, log-probabilities, and what is refused."""

from __future__ import annotations

from typing import Any

import fastjsonschema
import pytest

from ponder.core.model import Request
from ponder.gateway.completions.protocol import RESPONSE
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import scripted, serving

is_response = fastjsonschema.compile(RESPONSE)
PATH = "/v1/completions"


async def test_the_prompt_reaches_the_model_raw() -> None:
    seen: list[Request] = []

    def look(request: Request, _: int) -> str:
        seen.append(request)
        return " and on"

    async with serving(scripted(), {"m": ScriptedModel(replies=look)}) as house:
        for prompt in ("once upon", [1, 2, 3], ["once", "twice"], [[1], [2, 3]]):
            status, body = await house.post(PATH, {"model": "single@m", "prompt": prompt})
            assert status == 200, body
            is_response(body)
        assert [(request.messages, request.prompt) for request in seen] == [
            ((), prompt) for prompt in ("once upon", (1, 2, 3), "once", "twice", (1,), (2, 3))
        ]
        assert body["usage"]["ponder"]["calls"] == 2
        assert len(body["ponder"]["runs"]) == 2


async def test_echo_n_and_logprobs() -> None:
    async with serving(scripted(), {"m": ScriptedModel(replies=("one two", "three"))}) as house:
        asked = {"model": "single@m", "prompt": "so ", "echo": True, "n": 2, "logprobs": 1, "seed": 0}
        _, body = await house.post(PATH, asked)
        assert [choice["text"] for choice in body["choices"]] == ["so one two", "so three"]
        listed = body["choices"][0]["logprobs"]
        assert listed["tokens"] == ["one", " two"]
        assert listed["text_offset"] == [0, 3]
        assert len(listed["token_logprobs"]) == len(listed["top_logprobs"]) == 2
        stream = await house.stream({"model": "single@m", "prompt": "so ", "echo": True, "seed": 0}, PATH)
        text = "".join(c["text"] for e in stream if isinstance(e, dict) for c in e["choices"])
        assert text == "so one two"


async def test_methods_work_on_raw_prompts() -> None:
    model = ScriptedModel(replies=("yes", "no", "yes"))
    async with serving(scripted(), {"m": model}) as house:
        asked: dict[str, Any] = {"model": "self_consistency@m", "prompt": "is it?", "seed": 1}
        asked["ponder"] = {"answer": "exact", "params": {"n": 6, "early_stop": "none"}}
        _, body = await house.post(PATH, asked)
        assert body["choices"][0]["text"] == "yes"
        assert body["usage"]["ponder"]["calls"] == 6
        assert all(call.prompt == "is it?" for call in model.log)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 4}, "best_of"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [-1]}, "prompt.0"),
        ({"prompt": ["a"] * 65}, "prompt"),
        ({"prompt": ["a"] * 40, "n": 2}, "prompt"),
        ({"prompt": ["a", "b"], "stream": True}, "prompt"),
        ({"prompt": "   "}, None),
    ],
)
async def test_what_is_refused(change: dict[str, Any], param: str | None) -> None:
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        status, body = await house.post(PATH, {"model": "single@m", "prompt": "x"} | change)
        assert (status, body["error"]["param"]) == (400, param)
