"""`GET /v1/models` and `GET /v1/models/{model}`."""

from __future__ import annotations

from ponder.gateway.exchange import Endpoint, Exchange, dumps
from ponder.gateway.gateway import Gateway
from ponder.gateway.models.serving import listed, one

__all__ = ["Models"]


class Models(Endpoint):
    """Lists what can be asked for."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def serve(self, exchange: Exchange) -> None:
        """Answer."""
        key = self._gateway.key_of(exchange)
        name = exchange.scope.get("path_params", {}).get("model")
        with self._gateway.visit() as house:
            reply = listed(house, key) if name is None else one(house, key, name)
        await exchange.reply(dumps(reply))
