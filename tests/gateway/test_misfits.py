"""What a client is told of a body that does not fit: the field, what it may be, and near names."""

from __future__ import annotations

from typing import Any

import fastjsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.gateway.chat import protocol
from ponder.gateway.completions import protocol as raw
from ponder.gateway.errors import ApiError
from tests.gateway.house import chat, scripted, serving


def said(body: Any, check: Any = protocol.check) -> tuple[str | None, str]:
    with pytest.raises(ApiError) as caught:
        check(body)
    assert caught.value.status == 400
    return caught.value.param, caught.value.message


def message(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "x"}, fields]}


@pytest.mark.parametrize(
    ("body", "param", "told"),
    [
        (chat(ponder={"metod": "x"}), "ponder", "ponder has no field 'metod'. Did you mean 'method'?"),
        (chat(ponder={"budget": {"token": 3}}), "ponder.budget", "'tokens'"),
        (chat(ponder={"verifier": {"nam": "judge"}}), "ponder.verifier", "ponder.verifier must contain ['name']"),
        (chat(ponder={"progress": "loud"}), "ponder.progress", "'reasoning', 'comments', 'none'"),
        (message(role="usr", content="x"), "messages.1.role", "'system' or 'developer' or 'user'"),
        (message(content="x"), "messages.1.role", "not nothing"),
        (message(role="user"), "messages.1", "must contain"),
        (message(role="user", content=7), "messages.1.content", "must be string or array"),
        (
            message(role="user", content=[{"type": "input_audio", "input_audio": {}}]),
            "messages.1.content.0.type",
            "must be 'text' or 'image_url', not 'input_audio'",
        ),
        (message(role="user", content=[{"type": "text"}]), "messages.1.content.0", "must contain"),
        (
            message(role="user", content=[{"type": "image_url", "image_url": {"url": 5}}]),
            "messages.1.content.0.image_url.url",
            "must be string",
        ),
        (
            message(role="system", content=[{"type": "image_url", "image_url": {"url": "x"}}]),
            "messages.1.content.0.type",
            "must be 'text'",
        ),
        (message(role="tool", content="x"), "messages.1", "tool_call_id"),
        (chat(response_format={"type": "xml"}), "response_format.type", "'json_schema'"),
        (chat(stop=5), "stop", "must be string or array or null"),
        (chat(temperature=True), "temperature", "must be number or null"),
        ([], None, "the body must be object"),
        ({}, None, "the body must contain ["),
    ],
)
def test_the_field_at_fault_is_named_with_what_it_may_be(body: Any, param: str | None, told: str) -> None:
    found = said(body)
    assert found[0] == param
    assert told in found[1]


def test_the_same_mistake_is_told_in_the_same_way_and_costs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each error brings a copy of its part of the schema, whose place in memory the next copy takes."""
    wrong = (
        message(role="user", content=7),
        message(role="user", content=[{"type": "text"}]),
        message(role="tool", content="x"),
        chat(response_format={"type": "json_schema"}),
    )
    first = [said(body) for body in wrong]
    made: list[Any] = []
    compiling = fastjsonschema.compile

    def counted(*args: Any, **more: Any) -> Any:
        made.append(args)
        return compiling(*args, **more)

    monkeypatch.setattr(fastjsonschema, "compile", counted)
    for _ in range(3):
        assert [said(body) for body in wrong] == first
    assert not made


def test_raw_prompts_too() -> None:
    assert said({"model": "m", "prompt": 5}, raw.check) == ("prompt", "prompt must be string or array")
    assert said({"model": "m", "prompt": ["a", 5]}, raw.check)[0] == "prompt.1"


async def test_an_unknown_answer_type_is_named_before_anything_is_spent() -> None:
    async with serving(scripted()) as house:
        for path, body in (
            ("/v1/chat/completions", chat("self_consistency@m", ponder={"answer": "numbr"})),
            ("/v1/completions", {"model": "m", "prompt": "x", "ponder": {"answer": "numbr"}}),
        ):
            status, reply = await house.post(path, body)
            assert (status, reply["error"]["param"]) == (400, "ponder.answer")
            assert "Did you mean 'number'?" in reply["error"]["message"]
            assert "x-ponder-trace" not in {name.lower() for name in house.headers}


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "type", "content", "text", "image_url", "ponder", "x"]), inner)
    ),
    max_leaves=8,
)


@given(json, json, json)
def test_whatever_comes_is_taken_or_told_what_is_wrong(content: Any, one: Any, own: Any) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": content}, one], "ponder": own, "stop": content}
    for check, data in ((protocol.check, body), (raw.check, {**body, "prompt": content}), (protocol.check, one)):
        try:
            check(data)
        except ApiError as err:
            assert (err.status, bool(err.message)) == (400, True)  # noqa: PT017 - a body that is taken is fine as well
