"""`GET /healthz`, `GET /readyz` and `GET /metrics`.

Health and readiness are open to everyone who can connect (balancers have no keys) and name models, nothing else.
Metrics name keys, so where keys are configured they need one.
"""

from __future__ import annotations

from ponder.gateway.errors import ApiError
from ponder.gateway.exchange import Endpoint, Exchange, dumps
from ponder.gateway.gateway import Gateway
from ponder.gateway.health.serving import health, ready

__all__ = ["Health", "MetricsText", "Ready"]


class Health(Endpoint):
    """Says that the process lives."""

    async def serve(self, exchange: Exchange) -> None:
        """Answer."""
        await exchange.reply(dumps(health()))


class Ready(Endpoint):
    """Says whether work is welcome."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def serve(self, exchange: Exchange) -> None:
        """Answer."""
        good, body = ready(self._gateway)
        await exchange.reply(dumps(body), status=200 if good else 503)


class MetricsText(Endpoint):
    """Gives the numbers to Prometheus."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def serve(self, exchange: Exchange) -> None:
        """Answer."""
        self._gateway.key_of(exchange)
        metrics = self._gateway.metrics
        if metrics is None:
            raise ApiError("no metrics here: pip install 'ponder[gateway]'", status=404, code="no_metrics")
        text, kind = metrics.render()
        await exchange.reply(text, kind=kind.encode())
