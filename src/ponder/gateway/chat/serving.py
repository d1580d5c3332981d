"""What a chat completion does: choose, run, and put the answer into OpenAI's form."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.errors import AccessDenied
from ponder.core.model import Tokens
from ponder.core.task import Task
from ponder.gateway import contexts, wishes
from ponder.gateway.chat import protocol
from ponder.gateway.choice import Plan
from ponder.gateway.errors import ApiError
from ponder.gateway.gateway import House
from ponder.gateway.service import Ask, Outcome, usage_json
from ponder.gateway.settings import Key
from ponder.gateway.shaped import Shape

__all__ = ["ask_of", "finish_of", "logprobs_json", "message_json", "response"]


def ask_of(body: Mapping[str, Any], house: House, key: Key, *, arrived: float, traceparent: str | None = None) -> Ask:
    """Return what a checked body asks for.

    Raises:
        ApiError: unknown, impossible or forbidden.
        AccessDenied: the model does not give what is asked for.
    """
    rules = house.settings.request
    own = body.get("ponder") or {}
    tools = tuple(body.get("tools") or ())
    n = body.get("n") or 1
    plan = house.chooser.plan(body["model"], own, key=key, n=n, bare=bool(tools))
    messages = protocol.messages_of(body, rules.max_image_bytes)
    chat = contexts.named(own, messages, key, house.settings.contexts)
    schema, form = protocol.schema_of(body)
    logprobs = (body.get("top_logprobs") or 0) if body.get("logprobs") else None
    if body.get("top_logprobs") and logprobs is None:
        raise ApiError("top_logprobs needs logprobs: true", param="top_logprobs")
    _check(plan, tools=bool(tools), schema=schema is not None, logprobs=logprobs)
    seed, given = wishes.seed_of(body)
    extra = wishes.extra_of(body)
    if form is not None:
        extra["response_format"] = form
    stored = bool(own.get("store"))
    shape = Shape(
        json_schema=schema,
        tools=tools,
        logprobs=logprobs,
        extra=extra,
        seed=seed % 2**31 if given and plan.single and not stored else None,
        fixed=plan.single,
    )
    return Ask(
        plan=plan,
        key=key,
        task=Task(messages=chat.messages, answer=wishes.answer_of(body), metadata=chat.facts),
        shape=shape,
        sampling=wishes.sampling_of(body, "max_completion_tokens", "max_tokens"),
        budget=wishes.budget_of(body),
        deadline=wishes.deadline_of(body, rules.max_seconds),
        seed=0 if (stored or chat.facts) and not given else seed,  # notes of another seed are other notes
        n=n,
        stored=stored,
        arrived=arrived,
        request=body,
        traceparent=traceparent,
    )


def _check(plan: Plan, *, tools: bool, schema: bool, logprobs: int | None) -> None:
    if tools and not plan.single:
        raise ApiError(
            f"{plan.name} cannot call tools: ask for single@{plan.line.serves}", code="tools_need_single", param="tools"
        )
    needed: list[Access] = []
    if schema:
        needed.append(Access.SCHEMA)
    if logprobs is not None:
        needed.append(Access.TOP_LOGPROBS if logprobs else Access.LOGPROBS)
    for level in needed:
        if level not in plan.line.access:
            what = "a JSON schema" if level is Access.SCHEMA else "logprobs"
            raise AccessDenied(f"{what} needs {level.value}, which {plan.line.serves} does not give")


def response(outcome: Outcome, model: str) -> dict[str, Any]:
    """Return the reply to a request that is not streamed."""
    wants_logprobs = outcome.ask.shape.logprobs is not None
    return {
        "id": f"chatcmpl-{outcome.trace_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": place,
                "message": message_json(candidate),
                "logprobs": logprobs_json(candidate) if wants_logprobs else None,
                "finish_reason": finish_of(candidate),
            }
            for place, candidate in enumerate(outcome.choices)
        ],
        "usage": usage_json(outcome.paid),
        "ponder": outcome.about(),
    }


def message_json(candidate: Candidate) -> dict[str, Any]:
    """Return an assistant's message."""
    message = candidate.message
    assert message is not None
    calls = [dict(call) for call in message.tool_calls]
    empty = not message.text and (calls or message.refusal is not None)
    out: dict[str, Any] = {
        "role": "assistant",
        "content": None if empty else message.text,
        "refusal": message.refusal,
    }
    if message.reasoning:
        out["reasoning_content"] = message.reasoning
    if calls:
        out["tool_calls"] = calls
    return out


def finish_of(candidate: Candidate) -> str:
    """Return why the answer ended, in OpenAI's words: whatever cut it is "length"."""
    finish = candidate.finish or "stop"
    return "length" if finish == "cancelled" else finish


def logprobs_json(candidate: Candidate) -> dict[str, Any] | None:
    """Return the log-probabilities of an answer's tokens, where the method's answer is one whole completion."""
    tokens = None if candidate.completion is None else candidate.completion.tokens
    if tokens is None or tokens.logprobs is None:
        return None
    return {"content": [_token(tokens, tokens.logprobs, place) for place in range(len(tokens.ids))], "refusal": None}


def _token(tokens: Tokens, logprobs: Sequence[float], place: int) -> dict[str, Any]:
    top = tokens.top[place] if tokens.top is not None else ()
    return {
        **_one(tokens.texts[place], logprobs[place]),
        "top_logprobs": [_one(text, logprob) for _, text, logprob in top],
    }


def _one(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", "replace"))}
