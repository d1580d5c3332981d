"""Embeddings, handed through: the request goes to the model's server as it came, and its reply comes back as it is.

Cost: one request, counted under the role "embedding" at the tokens that the server reports, else at an upper bound (a
token is at least one byte of the text).
"""

from __future__ import annotations

import struct
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from ponder.core.access import Access
from ponder.core.budget import Budget
from ponder.core.errors import AccessDenied, Interrupted, ProviderError
from ponder.core.model import Embedder
from ponder.core.usage import Usage
from ponder.gateway.embeddings.protocol import texts_of
from ponder.gateway.exchange import Visitor
from ponder.gateway.gateway import Gateway, House
from ponder.gateway.settings import Key
from ponder.gateway.upstreams import Line
from ponder.models.openai import OpenAI

__all__ = ["ROLE", "embed"]

ROLE = "embedding"


async def embed(gateway: Gateway, house: House, key: Key, body: Mapping[str, Any], visitor: Visitor) -> dict[str, Any]:
    """Return the reply to a checked body.

    Raises:
        ApiError: unknown model, or one that this key may not use.
        AccessDenied: the model gives no embeddings.
        ProviderError: no upstream answered.
    """
    began = time.monotonic()
    line = house.chooser.line(body["model"])
    house.chooser.allow(key, line, "embeddings")
    bound = _bound(body["input"])
    status, paid = 500, Usage()
    try:
        async with AsyncExitStack() as stack:
            await visitor.until_gone(stack.enter_async_context(gateway.admission.slot(key.name)))
            grant = await gateway.account.open(key, Budget(tokens=bound))
            try:
                if grant.budget.tokens is not None and grant.budget.tokens < bound:
                    raise Interrupted(f"{grant.budget.tokens} of {bound} tokens are left", reason="budget")
                paid = Usage(calls=1, prompt_tokens=bound, exact=False)  # until the server has told
                reply = await visitor.until_gone(_ask(line, body))
                paid = line.info.price(_told(reply, bound))
            except ProviderError as err:
                paid = err.spent or Usage()
                raise
            except AccessDenied:
                paid = Usage()
                raise
            finally:
                await grant.settle({ROLE: paid})
        status = 200
        return reply
    finally:
        if gateway.metrics is not None:
            gateway.metrics.request(
                key=key.name,
                method="embeddings",
                model=line.serves,
                status=status,
                seconds=time.monotonic() - began,
                paid={ROLE: paid},
            )


async def _ask(line: Line, body: Mapping[str, Any]) -> dict[str, Any]:
    last: ProviderError | None = None
    for model in line.upstreams:
        try:
            if isinstance(model, OpenAI):
                reply = await model.relay("/embeddings", {**body, "model": model.model})
                if isinstance(reply, dict) and isinstance(reply.get("data"), list):
                    return {**reply, "model": body["model"]}
                raise ProviderError(f"{model.name}: the reply holds no embeddings", status=200)
            if isinstance(model, Embedder) and Access.EMBED in model.access:
                return await _local(model, body)
        except ProviderError as err:
            last = err
    if last is not None:
        raise last
    raise AccessDenied(f"{line.serves} gives no embeddings")


async def _local(model: Embedder, body: Mapping[str, Any]) -> dict[str, Any]:
    texts = texts_of(body["input"])
    if texts is None:
        raise AccessDenied("this model embeds texts, not token ids")
    vectors = await model.embed(texts)
    coded = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": place,
            "embedding": b64encode(struct.pack(f"<{len(v)}f", *v)).decode() if coded else v,
        }
        for place, v in enumerate(vectors)
    ]
    return {"object": "list", "model": body["model"], "data": data}


def _bound(data: Any) -> int:
    texts = texts_of(data)
    if texts is not None:
        return sum(len(text.encode("utf-8", "surrogatepass")) + 2 for text in texts)
    return sum(map(len, data)) if isinstance(data[0], list) else len(data)


def _told(reply: Mapping[str, Any], bound: int) -> Usage:
    usage = reply.get("usage")
    count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    if isinstance(count, int) and count >= 0:
        return Usage(calls=1, prompt_tokens=count)
    return Usage(calls=1, prompt_tokens=bound, exact=False)
