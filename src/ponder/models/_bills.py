"""What the siblings of one answer cost: reads a server's usage, doubts it, and shares it out.

The prompt of n siblings is billed once, so `sent` holds it for sibling 0 only and sums to the server's bill.
Where a server gives one total for n siblings and no way to count them, the total is split by length and the shares
are marked inexact, while their sum stays the bill. A bill that cannot be read becomes an upper bound, marked too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ponder.core.model import Request, TokenCount
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.models._quirks import Kind

__all__ = ["Cost", "costs", "prompt_bound", "usage_bound", "whole"]


class Cost(NamedTuple):
    """Cost of one sibling: alone (`usage`), and its part of the server's bill (`sent`)."""

    usage: Usage
    sent: Usage


def costs(
    told: Any,
    choices: Sequence[Mapping[str, Any]],
    messages: Sequence[Message],
    counts: Sequence[int | None],
    request: Request,
    *,
    kind: Kind,
    bound: int,
) -> list[Cost]:
    """Return the cost of each sibling; the `sent` parts sum to the bill.

    Args:
        told: the server's usage object, unchecked.
        choices: the JSON choices.
        messages: what was read from them.
        counts: completion tokens that a stream told for each choice; may be empty.
        request: what was asked.
        kind: the family of the server.
        bound: upper bound of the prompt's tokens.
    """
    bill = _bill(told, bound)
    lengths = _lengths(choices, messages, counts, request, kind, bill)
    out = []
    for place, (message, count) in enumerate(zip(messages, lengths.counts, strict=True)):
        thinking, split = _thinking(message, count, bill, alone=len(messages) == 1)
        usage = Usage(
            calls=1,
            prompt_tokens=bill.prompt,
            cached_tokens=bill.cached,
            completion_tokens=count,
            thinking_tokens=thinking,
            exact=bill.exact and lengths.exact and not split,
        )
        sent = usage
        if len(messages) > 1:
            prompt = bill.prompt if place == 0 else 0
            cached = bill.cached if place == 0 else 0
            exact = bill.exact and lengths.sum_exact and not split
            sent = replace(usage, prompt_tokens=prompt, cached_tokens=cached, exact=exact)
        out.append(Cost(usage, sent))
    return out


class _Bill(NamedTuple):
    """The server's usage, as far as it can be believed; `completion` and `thinking` are None where it cannot."""

    prompt: int
    cached: int
    completion: int | None
    thinking: int | None
    exact: bool


def _bill(usage: Any, bound: int) -> _Bill:
    data = usage if isinstance(usage, dict) else {}
    prompt, completion = whole(data.get("prompt_tokens")), whole(data.get("completion_tokens"))
    inner = data.get("completion_tokens_details")
    thinking = whole(inner.get("reasoning_tokens")) if isinstance(inner, dict) else None
    if thinking is None:
        thinking = whole(data.get("reasoning_tokens"))
    if completion is not None and prompt is not None and thinking:
        # Some count reasoning beside the completion rather than in it; their total tells.
        if data.get("total_tokens") == prompt + completion + thinking:
            completion += thinking
        thinking = min(thinking, completion)
    inner = data.get("prompt_tokens_details")
    cached = whole(inner.get("cached_tokens")) if isinstance(inner, dict) else None
    if cached is None:
        cached = whole(data.get("prompt_cache_hit_tokens"))
    return _Bill(
        prompt=prompt or bound,
        cached=min(cached or 0, prompt or 0),
        completion=completion,
        thinking=thinking,
        exact=bool(prompt),
    )


class _Lengths(NamedTuple):
    counts: list[int]
    exact: bool
    sum_exact: bool


def _lengths(
    choices: Sequence[Mapping[str, Any]],
    messages: Sequence[Message],
    running: Sequence[int | None],
    request: Request,
    kind: Kind,
    bill: _Bill,
) -> _Lengths:
    """Return the completion tokens of each sibling."""
    if len(messages) == 1 and bill.completion:  # what most replies are: one answer, and its count told
        return _Lengths([bill.completion], exact=True, sum_exact=True)
    told = list(running) or [None] * len(messages)
    listed = [_listed(choice) for choice in choices]
    counts = [a if a is not None else b for a, b in zip(told, listed, strict=True)]
    known = [count for count in counts if count is not None]
    total = bill.completion
    if kind.counts_one and len(messages) > 1:
        total = sum(known) if len(known) == len(counts) else None
    if total is None or (total == 0 and any(map(_size, messages))):
        cap = request.sampling.max_tokens
        # One more for the token that ends a text and is not among those listed.
        bounds = [min(cap, 1 + (_size(m) if c is None else c)) for c, m in zip(counts, messages, strict=True)]
        return _Lengths(bounds, exact=False, sum_exact=False)
    if len(messages) == 1:
        return _Lengths([total], exact=True, sum_exact=True)
    if len(known) == len(counts):
        if sum(known) == total:
            return _Lengths(known, exact=True, sum_exact=True)
        # Log-probabilities leave out the end-of-text token of those that ended by themselves.
        ended = [int(choice.get("finish_reason") == "stop") for choice in choices]
        if sum(known) + sum(ended) == total:
            return _Lengths([a + b for a, b in zip(known, ended, strict=True)], exact=True, sum_exact=True)
    weights = known if len(known) == len(counts) else [_size(message) + 1 for message in messages]
    return _Lengths(_shares(total, weights), exact=False, sum_exact=True)


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `weights`, by largest remainder."""
    whole = sum(weights) or 1
    shares = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda place: -(total * weights[place] % whole))
    for step in range(total - sum(shares)):
        shares[order[step % len(order)]] += 1
    return shares


def _listed(choice: Mapping[str, Any]) -> int | None:
    ids, logprobs = choice.get("token_ids"), choice.get("logprobs")
    if isinstance(ids, list):
        return len(ids)
    if isinstance(logprobs, dict):
        for name in ("content", "tokens"):
            if isinstance(logprobs.get(name), list):
                return len(logprobs[name])
    return None


def _thinking(message: Message, count: int, bill: _Bill, *, alone: bool) -> tuple[int, bool]:
    """Return the thinking tokens of a sibling, and whether they had to be shared out by length."""
    if alone and bill.thinking is not None:
        return bill.thinking, False
    if not message.reasoning:
        return 0, bool(bill.thinking)
    thought = len(message.reasoning.encode())
    return count * thought // max(1, _size(message)), True


def _size(message: Message) -> int:
    """Return the bytes that the model wrote: an upper bound of its tokens (but for the one that ends the text)."""
    parts = [message.text, message.reasoning or "", message.refusal or ""]
    parts += [json.dumps(call) for call in message.tool_calls]
    return sum(len(part.encode("utf-8", "surrogatepass")) for part in parts)


def usage_bound(request: Request, *, prompt: int, counts: Sequence[int] | None) -> Usage:
    """Return an upper bound of what an attempt cost that broke after it had begun.

    Args:
        request: what was asked.
        prompt: upper bound of the prompt's tokens.
        counts: tokens received of each sibling, where they were streamed.
    """
    written = request.n * request.sampling.max_tokens if counts is None else sum(counts)
    return Usage(prompt_tokens=prompt, completion_tokens=written, exact=False)


# Role marks around a message, and what templates say before a list of tools.
_PER_MESSAGE, _PER_TOOLS = 8, 256
# No server says beforehand what an image costs; the largest tiling of the common vision models stays below this.
_PER_IMAGE = 4096


def prompt_bound(request: Request, *, template: int) -> TokenCount:
    """Return an upper bound of the prompt's tokens: no byte-level tokenizer makes more tokens than bytes.

    A prompt of token ids is counted exactly.

    Args:
        request: what is asked.
        template: most tokens that the chat template adds to a whole prompt.
    """
    if request.prompt is not None and not isinstance(request.prompt, str):
        return TokenCount(len(request.prompt), True)
    texts = [request.prompt or "", request.prefix]
    images = 0
    for message in request.messages:
        texts += [message.text, message.refusal or "", *(json.dumps(dict(call)) for call in message.tool_calls)]
        images += len(message.images)
    total = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) + images * _PER_IMAGE
    if request.messages:
        total += template + _PER_MESSAGE * len(request.messages)
    if request.tools:
        total += _PER_TOOLS + len(json.dumps([dict(tool) for tool in request.tools]))
    if request.json_schema is not None:
        total += len(json.dumps(dict(request.json_schema)))
    return TokenCount(total + 2, False)  # begin-of-text marks


def whole(value: Any) -> int | None:
    """Return a count that can be believed: an integer of at least 0; else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
