"""`POST /v1/embeddings`."""

from __future__ import annotations

from ponder.gateway.embeddings import protocol
from ponder.gateway.embeddings.serving import embed
from ponder.gateway.exchange import Endpoint, Exchange, dumps
from ponder.gateway.gateway import Gateway

__all__ = ["Embeddings"]


class Embeddings(Endpoint):
    """Embeds texts."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def serve(self, exchange: Exchange) -> None:
        """Answer."""
        key = self._gateway.key_of(exchange)
        with self._gateway.visit() as house:
            body = protocol.check(await exchange.json(house.settings.request.max_body_bytes))
            reply = await exchange.visitor.attended(embed(self._gateway, house, key, body, exchange.visitor))
            await exchange.reply(dumps(reply))
