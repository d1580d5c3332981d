"""The adapter's pure half against replies in the shape of each server (tests/models/shapes)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadReply, ProviderError, RequestRefused
from ponder.core.model import Completion, Request, Sampling
from ponder.core.task import Message
from ponder.models._bills import costs, prompt_bound
from ponder.models._quirks import KINDS, body, failure, rejected, retry_after
from ponder.models._replies import Reply, completions
from ponder.models._streams import Stream

SHAPES = Path(__file__).parent / "shapes"
ASK = (Message("user", "hello"),)


def cases(key: str) -> list[Any]:
    found = []
    for path in sorted(SHAPES.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        found += [pytest.param(data["server"], c, id=f"{path.stem}-{c['id']}") for c in data["cases"] if key in c]
    assert found
    return found


def read(server: str, case: dict[str, Any]) -> list[Completion]:
    fields = dict(case["request"])
    law = Sampling(max_tokens=fields.pop("max_tokens", 512))
    if "prompt" not in fields:
        fields["messages"] = ASK
    request, kind = Request(sampling=law, **fields), KINDS[server]
    if "stream" in case:
        stream = Stream(request.n, kind=kind, raw=request.prompt is not None)
        seen = [0] * request.n
        for chunk in case["stream"]:
            for delta in stream.feed(chunk):
                seen[delta.sibling] += delta.tokens
        assert seen == stream.counts
        reply = stream.reply()
    else:
        reply = Reply.of(case["reply"], request.n)
    return completions(reply, request, kind=kind, bound=1000)


@pytest.mark.parametrize(("server", "case"), [*cases("reply"), *cases("stream")])
def test_a_reply_is_read_as_expected(server: str, case: dict[str, Any]) -> None:
    expect = case["expect"]
    if isinstance(expect, str):
        with pytest.raises(ProviderError) as caught:
            read(server, case)
        assert type(caught.value).__name__ == expect
        return
    done = read(server, case)
    assert len(done) == len(expect)
    for completion, want in zip(done, expect, strict=True):
        usage = completion.usage
        assert (completion.text, completion.finish) == (want["text"], want["finish"])
        assert (usage.prompt_tokens, usage.completion_tokens) == (want["prompt"], want["completion"])
        assert usage.thinking_tokens == want.get("thinking", 0)
        assert usage.exact == want.get("exact", True)
        assert usage.cached_tokens == want.get("cached", usage.cached_tokens)
        assert completion.message.reasoning == want.get("reasoning")
        assert completion.message.refusal == want.get("refusal")
        assert list(completion.message.tool_calls) == want.get("tool_calls", [])
        assert (completion.sent is None) == ("sent_prompt" not in want)
        if completion.sent is not None:
            assert completion.sent.prompt_tokens == want["sent_prompt"]
            assert completion.sent.completion_tokens == usage.completion_tokens
        if "tokens" in want:
            assert completion.tokens is not None
            assert list(completion.tokens.texts) == want["tokens"]
            assert completion.tokens.logprobs == pytest.approx(want["logprobs"])
            assert list(completion.tokens.ids) == want.get("ids", [-1] * len(want["tokens"]))


@pytest.mark.parametrize(("server", "case"), cases("refusal"))
def test_a_refusal_is_read_as_expected(server: str, case: dict[str, Any]) -> None:
    text = json.dumps(case["refusal"])
    err = failure(case["status"], case.get("headers", {}), text, now=0.0)
    if "sent" in case:
        assert isinstance(err, RequestRefused)
        assert rejected(case["status"], text, dict.fromkeys(case["sent"], 1)) == case["expect"]
        return
    assert case["expect"] in {kind.__name__ for kind in type(err).__mro__}
    wait = case.get("headers", {}).get("retry-after")
    assert err.retry_after == (None if wait is None else float(wait))


@pytest.mark.parametrize("server", KINDS)
@pytest.mark.parametrize("raw", [False, True])
def test_every_kind_sends_the_whole_law_or_nothing_hidden(server: str, raw: bool) -> None:
    law = Sampling(temperature=0.5, top_p=0.9, top_k=7, min_p=0.1, repeat_penalty=1.2, max_tokens=3, stop=("x",))
    fields: dict[str, Any] = {"prompt": "hi"} if raw else {"messages": ASK}
    call = body(Request(sampling=law, n=2, seed=4, **fields), model="m", kind=KINDS[server])
    sent = call.body
    assert call.path == ("/completions" if raw else "/chat/completions")
    assert (sent["temperature"], sent["top_p"], sent["stop"], sent["n"], sent["seed"]) == (0.5, 0.9, ["x"], 2, 4)
    assert sent.get("max_tokens", sent.get("max_completion_tokens")) == 3
    if server != "ollama":
        assert (sent["top_k"], sent["min_p"]) == (7, 0.1)
        assert 1.2 in (sent.get("repeat_penalty"), sent.get("repetition_penalty"))


def test_openai_is_not_sent_fields_that_are_off() -> None:
    sent = body(Request(messages=ASK), model="m", kind=KINDS["openai"]).body
    assert not {"top_k", "min_p", "repetition_penalty", "repeat_penalty"} & set(sent)
    assert sent["max_completion_tokens"] == 512


def test_token_ids_and_a_prefix_of_text_do_not_go_together() -> None:
    with pytest.raises(RequestRefused, match="token ids"):
        body(Request(prompt=(1, 2), prefix="x"), model="m", kind=KINDS["vllm"])


def test_an_echoed_prefix_is_stripped() -> None:
    request = Request(messages=ASK, prefix="The answer is")
    reply = Reply.of({"choices": [{"message": {"content": "The answer is: 6"}, "finish_reason": "stop"}]}, 1)
    assert completions(reply, request, kind=KINDS["compatible"], bound=9)[0].text == ": 6"
    assert completions(reply, request, kind=KINDS["vllm"], bound=9)[0].text == "The answer is: 6"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 90.0),
        ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_spellings(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=10.0) == seconds


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "text",
        {},
        {"choices": None},
        {"choices": [3]},
        {"choices": [{"index": 5, "message": {"content": "x"}}]},
        {"choices": [{"index": "0", "message": {"content": "x"}}]},
        {"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]},
        {"choices": [{"message": None, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": "x", "tool_calls": "y"}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"content": "x"}, "finish_reason": "insufficient_system_resource"}]},
    ],
    ids=str,
)
def test_what_cannot_be_read_is_a_bad_reply(data: Any) -> None:
    with pytest.raises(BadReply):
        completions(Reply.of(data, 2), Request(messages=ASK, n=2), kind=KINDS["vllm"], bound=1)


@pytest.mark.parametrize("logprob", ["x", None, float("nan"), float("-inf")])
def test_logprobs_that_cannot_be_read_are_missing(logprob: Any) -> None:
    listed = {"content": [{"token": "x", "logprob": logprob, "bytes": None}]}
    data = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop", "logprobs": listed}]}
    request = Request(messages=ASK, logprobs=0)
    assert completions(Reply.of(data, 1), request, kind=KINDS["vllm"], bound=1)[0].tokens is None


@given(
    st.lists(st.text(max_size=20), min_size=1, max_size=8),
    st.integers(1, 10_000),
    st.integers(1, 10_000),
    st.integers(0, 10_000),
)
def test_what_is_sent_sums_to_the_bill(texts: list[str], prompt: int, total: int, thinking: int) -> None:
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": total,
        "completion_tokens_details": {"reasoning_tokens": thinking},
    }
    messages = [Message("assistant", text) for text in texts]
    request = Request(messages=ASK, n=len(texts))
    shares = costs(usage, [{}] * len(texts), messages, [], request, kind=KINDS["openai"], bound=1)
    assert sum(share.sent.prompt_tokens for share in shares) == prompt
    assert sum(share.sent.completion_tokens for share in shares) == total
    assert all(share.usage.completion_tokens == share.sent.completion_tokens for share in shares)
    assert all(share.usage.prompt_tokens == prompt for share in shares)
    assert all(share.usage.thinking_tokens <= share.usage.completion_tokens for share in shares)


@given(st.lists(st.text(), min_size=1, max_size=5), st.text())
def test_the_bound_of_a_prompt_is_above_its_bytes(texts: list[str], prefix: str) -> None:
    request = Request(messages=tuple(Message("user", text) for text in texts), prefix=prefix)
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in [*texts, prefix])
    assert prompt_bound(request, template=0).tokens >= size + 8 * len(texts)
