"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time

from ponder.gateway.chat import protocol, serving
from ponder.gateway.chat.chunks import ChatChunks
from ponder.gateway.exchange import Endpoint, Exchange, dumps
from ponder.gateway.gateway import Gateway
from ponder.gateway.service import answer
from ponder.gateway.streaming import stream

__all__ = ["ChatCompletions"]


class ChatCompletions(Endpoint):
    """Answers a chat."""

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
            ask = serving.ask_of(body, house, key, arrived=arrived, traceparent=exchange.header("traceparent"))
            if body.get("stream"):
                options = body.get("stream_options") or {}
                form = ChatChunks(
                    body["model"], usage=bool(options.get("include_usage")), logprobs=ask.shape.logprobs is not None
                )
                progress = (body.get("ponder") or {}).get("progress") or house.settings.server.progress
                await exchange.visitor.attended(stream(gateway, house, ask, exchange, form, progress=progress))
            else:
                outcome = await exchange.visitor.attended(answer(gateway, house, ask, exchange.visitor))
                await exchange.reply(dumps(serving.response(outcome, body["model"])), headers=outcome.headers)
