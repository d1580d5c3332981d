"""`POST /v1/completions`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ponder.core.tasks import gather_all
from ponder.gateway.completions import protocol, serving
from ponder.gateway.completions.chunks import TextChunks
from ponder.gateway.errors import ApiError
from ponder.gateway.exchange import Endpoint, Exchange, dumps
from ponder.gateway.gateway import Gateway, House
from ponder.gateway.service import Ask, answer
from ponder.gateway.streaming import Progress, stream

__all__ = ["Completions"]


class Completions(Endpoint):
    """Continues raw prompts."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def serve(self, exchange: Exchange) -> None:
        """Answer."""
        arrived = time.monotonic()
        gateway = self._gateway
        key = gateway.key_of(exchange)
        with gateway.visit() as house:
            body = protocol.check(await exchange.json(house.settings.request.max_body_bytes))
            gateway.check_store(body)
            asks = serving.asks_of(body, house, key, arrived=arrived, traceparent=exchange.header("traceparent"))
            if body.get("stream"):
                if len(asks) > 1:
                    raise ApiError("a stream continues one prompt", param="prompt")
                options = body.get("stream_options") or {}
                form = TextChunks(
                    body["model"],
                    usage=bool(options.get("include_usage")),
                    logprobs=body.get("logprobs"),
                    echo=asks[0].task.prompt if body.get("echo") else "",
                )
                progress: Progress = (body.get("ponder") or {}).get("progress") or "comments"
                await exchange.visitor.attended(stream(gateway, house, asks[0], exchange, form, progress=progress))
                return
            await exchange.visitor.attended(self._whole(exchange, house, asks, body))

    async def _whole(self, exchange: Exchange, house: House, asks: Sequence[Ask], body: Mapping[str, Any]) -> None:
        """Run and reply; the reply goes out while the client is still attended, which takes no turn of the loop."""
        runs = [partial(answer, self._gateway, house, ask, exchange.visitor) for ask in asks]
        outcomes = await gather_all(runs)
        await exchange.reply(dumps(serving.response(outcomes, body)), headers=outcomes[0].headers)
