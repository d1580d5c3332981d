"""Chat completions over loopback: what comes back for each method, and what is passed through."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from ponder.core.model import Completion, Request
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.gateway.settings import RequestRules, Settings, Upstream
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import chat, scripted, serving
from tests.models.fault_server import FaultServer

PNG = base64.b64encode(b"\x89PNG and so on").decode()


def openai_settings(server: FaultServer, kind: str = "", **more: Any) -> Settings:
    return Settings(upstreams=(Upstream(name="m", spec=f"openai:{server.url}#stub"),), **more)


async def test_a_plain_chat_has_openais_form() -> None:
    model = ScriptedModel(replies=("the answer is 42",))
    async with serving(scripted(), {"m": model}) as house:
        status, body = await house.chat("single@m", "what is it?")
        assert status == 200
        assert body["object"] == "chat.completion"
        assert body["model"] == "single@m"
        (choice,) = body["choices"]
        assert choice["message"] == {"role": "assistant", "content": "the answer is 42", "refusal": None}
        assert choice["finish_reason"] == "stop"
        usage = body["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (3, 4, 7)
        assert usage["ponder"]["roles"]["policy"]["calls"] == 1
        assert body["ponder"]["trace"] == house.headers["x-ponder-trace"]
        assert body["ponder"]["stopped"] == "done"


async def test_hidden_calls_are_in_the_usage_by_role() -> None:
    model = ScriptedModel(replies=("one", "two two", "three"))
    judge = ScriptedModel(replies=lambda request, _: f"Score: {7 if 'two two' in request.messages[-1].text else 2}")
    settings = Settings(
        upstreams=(Upstream(name="m", spec="scripted:x"), Upstream(name="j", spec="scripted:x")), roles={"judge": "j"}
    )
    async with serving(settings, {"m": model, "j": judge}) as house:
        status, body = await house.chat("best_of_n@m", ponder={"params": {"n": 6}})
        assert status == 200
        assert body["choices"][0]["message"]["content"] == "two two"
        roles = body["usage"]["ponder"]["roles"]
        assert roles["policy"]["calls"] == len(model.log) == 6
        assert roles["judge"]["calls"] == len(judge.log)
        assert body["usage"]["total_tokens"] == sum(r["prompt_tokens"] + r["completion_tokens"] for r in roles.values())
        assert body["usage"]["ponder"]["calls"] == 6 + len(judge.log)
        assert body["ponder"]["candidates"] == 6


async def test_n_choices_of_a_pass_through_and_of_a_method() -> None:
    model = ScriptedModel(replies=("a", "b", "c"))
    async with serving(scripted(), {"m": model}) as house:
        _, body = await house.chat("single@m", n=3, seed=3)
        assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
        assert [c["message"]["content"] for c in body["choices"]] == ["a", "b", "c"]
        _, body = await house.chat("self_consistency@m", n=2, ponder={"params": {"n": 5}, "answer": "exact"})
        assert len(body["choices"]) == 2
        status, body = await house.chat("greedy@m", n=2)
        assert status == 400
        assert body["error"]["param"] == "n"


async def test_a_seed_is_handed_through_and_repeats_the_answer() -> None:
    model = ScriptedModel(replies=lambda request, _: f"seed {request.seed}")
    async with serving(scripted(), {"m": model}) as house:
        texts = [(await house.chat("single@m", seed=11))[1]["choices"][0]["message"]["content"] for _ in range(2)]
        assert texts == ["seed 11", "seed 11"]
        fresh = {(await house.chat("single@m"))[1]["choices"][0]["message"]["content"] for _ in range(4)}
        assert len(fresh) > 1  # without a seed each request is drawn afresh
        votes = [(await house.chat("self_consistency@m", seed=5))[1]["choices"] for _ in range(2)]
        assert votes[0] == votes[1]


async def test_tools_schema_and_vendor_fields_reach_the_server_untouched() -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    form = {"type": "json_schema", "json_schema": {"name": "thing", "schema": {"type": "object"}, "strict": False}}
    messages: list[Any] = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": "look", "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {}}]},
        {"role": "tool", "content": "seen", "tool_call_id": "1"},
    ]
    async with FaultServer(says="ok") as server:
        opened = Settings(upstreams=(Upstream(name="m", spec=f"openai:{server.url}#stub"),))
        async with serving(opened) as house:
            body = {
                "model": "m",
                "messages": messages,
                "tools": tools,
                "tool_choice": "auto",
                "parallel_tool_calls": False,
                "user": "u1",
                "stop": ["END"],
                "unknown_field": {"a": 1},
            }
            status, reply = await house.post("/v1/chat/completions", body)
            assert status == 200, reply
            assert reply["ponder"]["method"] == "single"  # tools choose the pass-through by themselves
        seen = server.seen[0]
        assert seen["model"] == "stub"
        assert seen["tools"] == tools
        assert (seen["tool_choice"], seen["parallel_tool_calls"], seen["user"]) == ("auto", False, "u1")
        assert seen["stop"] == ["END"]
        assert seen["messages"][0] == {"role": "system", "content": "be brief"}
        assert seen["messages"][1] == messages[1]
        assert seen["messages"][2]["tool_calls"] == messages[2]["tool_calls"]
        assert seen["messages"][3] == messages[3]
        assert "unknown_field" not in seen
        assert "stream" not in seen  # nobody reads along: the answer comes whole

        server.reset()
        async with serving(openai_settings(server), {"m": _vllm(server)}) as house:
            status, reply = await house.chat("m", response_format=form, ponder={"method": "single"})
            assert status == 200, reply
            assert server.seen[0]["response_format"] == form


def _vllm(server: FaultServer) -> Any:
    from ponder.models.openai import OpenAI

    return OpenAI(model="stub", base_url=server.url, kind="vllm", retries=0)


async def test_tool_calls_come_back() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    reply = Completion(
        message=Message("assistant", "", tool_calls=(call,)), finish="tool_calls", usage=Usage(calls=1, prompt_tokens=1)
    )
    async with serving(scripted(), {"m": ScriptedModel(replies=(reply,))}) as house:
        body = chat("single@m", tools=[{"type": "function", "function": {"name": "look"}}])
        _, answer = await house.post("/v1/chat/completions", body)
        (choice,) = answer["choices"]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["content"] is None
        assert choice["message"]["tool_calls"] == [call]
        stream = await house.stream(body)
        deltas = [e["choices"][0]["delta"] for e in stream if isinstance(e, dict)]
        assert {"index": 0, **call} in [c for delta in deltas for c in delta.get("tool_calls", ())]


async def test_tools_with_a_method_are_refused() -> None:
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        status, body = await house.chat("self_consistency@m", tools=[{"type": "function", "function": {"name": "f"}}])
        assert (status, body["error"]["code"]) == (400, "tools_need_single")


async def test_a_schema_needs_a_model_that_follows_it() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    async with serving(scripted(), {"m": ScriptedModel()}) as house:
        status, body = await house.chat("single@m", response_format=form)
        assert (status, body["error"]["code"]) == (400, "impossible")
        assert "schema" in body["error"]["message"]


async def test_logprobs_come_with_their_tokens() -> None:
    async with serving(scripted(), {"m": ScriptedModel(replies=("one two",))}) as house:
        for model in ("single@m", "greedy@m"):
            _, body = await house.chat(model, logprobs=True, top_logprobs=2)
            content = body["choices"][0]["logprobs"]["content"]
            assert [token["token"] for token in content] == ["one", " two"]
            assert all(token["logprob"] <= 0 and token["top_logprobs"] for token in content)
            assert content[0]["bytes"] == list(b"one")
        stream = await house.stream(chat("single@m", logprobs=True))
        parts = [e["choices"][0] for e in stream if isinstance(e, dict) and e["choices"]]
        assert [p["logprobs"]["content"][0]["token"] for p in parts if p["logprobs"]] == ["one", " two"]


async def test_images_are_taken_as_data_and_never_fetched() -> None:
    seen: list[Request] = []

    def look(request: Request, _: int) -> str:
        seen.append(request)
        return "a cat"

    settings = scripted(request=RequestRules(max_image_bytes=20))
    async with serving(settings, {"m": ScriptedModel(replies=look)}) as house:

        def ask(url: str) -> Any:
            parts = [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": url}}]
            message = {"role": "user", "content": parts}
            return house.post("/v1/chat/completions", {"model": "single@m", "messages": [message]})

        status, _ = await ask(f"data:image/png;base64,{PNG}")
        assert status == 200
        assert seen[0].messages[0].images[0].data == base64.b64decode(PNG)
        for url, code, said in (
            ("http://169.254.169.254/latest", "image_url_not_allowed", 400),
            ("file:///etc/passwd", "image_url_not_allowed", 400),
            ("data:image/png;base64,???", None, 400),
            ("data:text/html;base64,AAAA", None, 400),
            (f"data:image/png;base64,{base64.b64encode(b'x' * 40).decode()}", "image_too_large", 413),
        ):
            status, body = await ask(url)
            assert (status, body["error"]["code"]) == (said, code), url
        assert len(seen) == 1


async def test_the_law_is_openais_where_nothing_is_said() -> None:
    seen: list[Request] = []

    def look(request: Request, _: int) -> str:
        seen.append(request)
        return "ok"

    async with serving(scripted(), {"m": ScriptedModel(replies=look)}) as house:
        await house.chat("single@m")
        await house.chat("single@m", temperature=0.3, top_p=0.5, top_k=-1, max_completion_tokens=7, stop="x", seed=None)
        law = seen[0].sampling
        assert (law.temperature, law.top_p, law.top_k, law.stop) == (1.0, 1.0, 0, ())
        law = seen[1].sampling
        assert (law.temperature, law.top_p, law.top_k, law.max_tokens, law.stop) == (0.3, 0.5, 0, 7, ("x",))


async def test_a_cut_answer_is_called_length() -> None:
    async with serving(scripted(), {"m": ScriptedModel(replies=("one two three",))}) as house:
        _, body = await house.chat("single@m", max_tokens=2)
        assert body["choices"][0]["message"]["content"] == "one two"
        assert body["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"}],"x":[{"', "😀 ünï\u2028code", "\x00\x07"])
async def test_what_a_model_says_is_data(text: str) -> None:
    async with serving(scripted(), {"m": ScriptedModel(replies=(text,), stream=True)}) as house:
        _, body = await house.chat("single@m")
        assert body["choices"][0]["message"]["content"] == text
        stream = await house.stream(chat("single@m"))
        assert "".join(e["choices"][0]["delta"].get("content", "") for e in stream if isinstance(e, dict)) == text
