"""The ASGI application: routes, errors of routing in OpenAI's format, and CORS where the settings ask for it.

Source: Starlette for the routes. No middleware runs unless CORS is configured: each one costs every token of a stream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ponder.core.registry import need
from ponder.gateway.chat.router import ChatCompletions
from ponder.gateway.completions.router import Completions
from ponder.gateway.embeddings.router import Embeddings
from ponder.gateway.errors import ApiError
from ponder.gateway.exchange import dumps
from ponder.gateway.gateway import Gateway
from ponder.gateway.health.router import Health, MetricsText, Ready
from ponder.gateway.models.router import Models
from ponder.gateway.openapi import OpenApi
from ponder.gateway.pages.router import page_routes

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.routing import BaseRoute

__all__ = ["build"]

logger = logging.getLogger(__name__)
_TIDY_SECONDS = 1.0


def build(gateway: Gateway, *, pages: Sequence[BaseRoute] = ()) -> Starlette:
    """Return the application; its lifespan closes the gateway.

    Args:
        gateway: open.
        pages: further routes (the page).

    Raises:
        MissingExtra: Starlette is not installed.
    """
    feature = "the gateway"
    applications = need("starlette.applications", extra="gateway", feature=feature)
    routing = need("starlette.routing", extra="gateway", feature=feature)
    routes: list[Any] = [
        routing.Route("/v1/chat/completions", ChatCompletions(gateway), methods=["POST"]),
        routing.Route("/v1/completions", Completions(gateway), methods=["POST"]),
        routing.Route("/v1/embeddings", Embeddings(gateway), methods=["POST"]),
        routing.Route("/v1/models", Models(gateway), methods=["GET"]),
        routing.Route("/v1/models/{model:path}", Models(gateway), methods=["GET"]),
        routing.Route("/healthz", Health(), methods=["GET"]),
        routing.Route("/readyz", Ready(gateway), methods=["GET"]),
        routing.Route("/metrics", MetricsText(gateway), methods=["GET"]),
        routing.Route("/openapi.json", OpenApi(gateway), methods=["GET"]),
        *page_routes(gateway),
        *pages,
    ]

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            tidying = group.create_task(_tidy(gateway))
            try:
                yield
            finally:
                tidying.cancel()
                await gateway.close()

    app: Starlette = applications.Starlette(
        routes=routes,
        middleware=_cors(gateway),
        exception_handlers={need("starlette.exceptions", extra="gateway", feature=feature).HTTPException: _routing},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


async def _tidy(gateway: Gateway) -> None:
    while True:
        await asyncio.sleep(_TIDY_SECONDS)
        await gateway.tidy()


def _cors(gateway: Gateway) -> list[Any]:
    origins = gateway.house.settings.server.cors_origins
    if not origins:
        return []
    middleware = need("starlette.middleware", extra="gateway", feature="CORS")
    cors = need("starlette.middleware.cors", extra="gateway", feature="CORS")
    return [
        middleware.Middleware(
            cors.CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "traceparent"],
            expose_headers=["x-ponder-trace"],
        )
    ]


async def _routing(_: Any, err: Exception) -> Any:
    """Answer what no route takes."""
    from starlette.responses import Response

    status = int(getattr(err, "status_code", 404))
    message = "this route needs another HTTP method" if status == 405 else "there is no such route"
    told = ApiError(message, status=status, code="method_not_allowed" if status == 405 else "not_found")
    headers = dict(getattr(err, "headers", None) or {})
    return Response(dumps(told.body()), status_code=status, headers=headers, media_type="application/json")
