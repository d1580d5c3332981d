"""What a raw completion does: choose, run for each prompt, and put the answers into OpenAI's form.

Each prompt of a list is a request of its own to the queue and the account; their choices and bills come together.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.errors import AccessDenied
from ponder.core.task import Message, Task
from ponder.core.usage import add_up
from ponder.gateway import wishes
from ponder.gateway.completions import protocol
from ponder.gateway.errors import ApiError
from ponder.gateway.gateway import House
from ponder.gateway.service import Ask, Outcome, usage_json
from ponder.gateway.settings import Key
from ponder.gateway.shaped import Shape

__all__ = ["asks_of", "finish_of", "logprobs_json", "response"]


def asks_of(
    body: Mapping[str, Any], house: House, key: Key, *, arrived: float, traceparent: str | None = None
) -> list[Ask]:
    """Return what a checked body asks for, one for each prompt.

    Raises:
        ApiError: unknown, impossible or forbidden.
        AccessDenied: the model does not give what is asked for.
    """
    rules = house.settings.request
    own = body.get("ponder") or {}
    n = body.get("n") or 1
    prompts = protocol.prompts_of(body, rules.max_candidates)
    if own.get("context_id") is not None:
        raise ApiError("a context_id names the system message of a chat", param="ponder.context_id")
    plan = house.chooser.plan(body["model"], own, key=key, n=n)
    if len(prompts) * n > rules.max_candidates:
        raise ApiError(
            f"{len(prompts)} prompts with {n} choices are more than {rules.max_candidates}",
            code="too_many",
            param="prompt",
        )
    logprobs = body.get("logprobs")
    if logprobs is not None:
        level = Access.TOP_LOGPROBS if logprobs else Access.LOGPROBS
        if level not in plan.line.access:
            raise AccessDenied(f"logprobs needs {level.value}, which {plan.line.serves} does not give")
    seed, given = wishes.seed_of(body)
    stored = bool(own.get("store"))
    common: dict[str, Any] = {
        "plan": plan,
        "key": key,
        "sampling": wishes.sampling_of(body, "max_tokens"),
        "budget": wishes.budget_of(body),
        "deadline": wishes.deadline_of(body, rules.max_seconds),
        "seed": 0 if stored and not given else seed,
        "n": n,
        "stored": False,  # the store's keys know chats, not what a shape makes of them
        "arrived": arrived,
        "request": body,
        "traceparent": traceparent,
    }
    asks = []
    for prompt in prompts:
        shape = Shape(
            prompt=prompt,
            logprobs=logprobs,
            extra=wishes.extra_of(body),
            seed=seed % 2**31 if given and plan.single else None,
            fixed=plan.single,
        )
        text = prompt if isinstance(prompt, str) else " ".join(map(str, prompt))
        task = Task(messages=(Message("user", text),), answer=wishes.answer_of(body))
        asks.append(Ask(task=task, shape=shape, **common))
    return asks


def response(outcomes: Sequence[Outcome], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reply to a request that is not streamed."""
    choices: list[dict[str, Any]] = []
    for outcome in outcomes:
        before = outcome.ask.task.prompt if body.get("echo") else ""
        for candidate in outcome.choices:
            choices.append(
                {
                    "index": len(choices),
                    "text": before + candidate.text,
                    "logprobs": None if body.get("logprobs") is None else logprobs_json(candidate),
                    "finish_reason": finish_of(candidate),
                }
            )
    return {
        "id": f"cmpl-{outcomes[0].trace_id}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": body["model"],
        "choices": choices,
        "usage": usage_json(add_up(outcome.paid for outcome in outcomes)),
        "ponder": outcomes[0].about() if len(outcomes) == 1 else {"runs": [o.about() for o in outcomes]},
    }


def finish_of(candidate: Candidate) -> str:
    """Return why the answer ended, in the words of this endpoint."""
    finish = candidate.finish or "stop"
    return {"cancelled": "length", "tool_calls": "stop"}.get(finish, finish)


def logprobs_json(candidate: Candidate, first: int = 0) -> dict[str, Any] | None:
    """Return the log-probabilities of an answer's tokens from number `first` on, where the method gives them."""
    tokens = None if candidate.completion is None else candidate.completion.tokens
    if tokens is None or tokens.logprobs is None:
        return None
    offsets, place = [], 0
    for text in tokens.texts:
        offsets.append(place)
        place += len(text)
    top = None if tokens.top is None else [{text: p for _, text, p in step} for step in tokens.top[first:]]
    return {
        "tokens": list(tokens.texts[first:]),
        "token_logprobs": list(tokens.logprobs[first:]),
        "top_logprobs": top,
        "text_offset": offsets[first:],
    }
