"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time

from ponder.gateway.chat import protocol, serving
from ponder.gateway.chat.chunks import ChatChunks
from ponder.gateway.exchange import Endpoint, Exchange, dumps
from ponder.gateway.gateway import Gateway, House
from ponder.gateway.service import Ask, answer
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
                form = ChatChunks(body["model"], usage=bool(options.get("include_usage")), logprobs=ask.shape.logprobs)
                progress = (body.get("ponder") or {}).get("progress") or house.settings.server.progress
                await exchange.visitor.attended(stream(gateway, house, ask, exchange, form, progress=progress))
            else:
                await exchange.visitor.attended(self._whole(exchange, house, ask, body["model"]))

    async def _whole(self, exchange: Exchange, house: House, ask: Ask, model: str) -> None:
        """Run and reply; the reply goes out while the client is still attended, which takes no turn of the loop."""
        outcome = await answer(self._gateway, house, ask, exchange.visitor)
        await exchange.reply(dumps(serving.response(outcome, model)), headers=outcome.headers)
