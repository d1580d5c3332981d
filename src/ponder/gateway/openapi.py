"""The OpenAPI document, put together from the schemas that check the requests.

Source: OpenAPI 3.1. The `model` field lists what this gateway can be asked for now, so that a generator of requests
finds names that exist.
"""

from __future__ import annotations

import copy
from typing import Any

from ponder._version import __version__
from ponder.gateway.chat import protocol as chat
from ponder.gateway.completions import protocol as completions
from ponder.gateway.embeddings import protocol as embeddings
from ponder.gateway.exchange import Endpoint, Exchange, dumps
from ponder.gateway.gateway import Gateway
from ponder.gateway.health import protocol as health
from ponder.gateway.models import protocol as models
from ponder.gateway.schema import ERROR

__all__ = ["OpenApi", "document"]

_MEANINGS = {
    400: "The request makes no sense, or asks for something that is not there.",
    401: "No key, or a wrong one.",
    402: "The budget of the request or of the key is used up.",
    403: "This key, or this page, may not ask for it.",
    404: "There is nothing of that name.",
    405: "Another HTTP method is needed.",
    408: "The body came too slowly.",
    413: "The body or an image is too large.",
    429: "Too many requests, or a quota is used up; Retry-After says when to come back.",
    500: "A fault of the gateway.",
    502: "No upstream gave an answer.",
    503: "Not now: shutting down, or the counters are away.",
    504: "The deadline passed, or an upstream timed out, before there was an answer.",
}
_ALWAYS = (401, 403, 405, 500)
_RUN = (400, 402, 408, 413, 429, 502, 503, 504)


def document(gateway: Gateway) -> dict[str, Any]:
    """Return the document."""
    chooser = gateway.house.chooser
    ready = [usable.id for usable in chooser.usable() if not usable.needs]
    served = list(gateway.house.lines.by_model)
    paths = {
        "/v1/chat/completions": _post("Answer a chat.", chat.REQUEST, chat.RESPONSE, ready, chunk=chat.CHUNK),
        "/v1/completions": _post(
            "Continue raw prompts.", completions.REQUEST, completions.RESPONSE, ready, chunk=completions.CHUNK
        ),
        "/v1/embeddings": _post("Embed texts.", embeddings.REQUEST, embeddings.RESPONSE, served),
        "/v1/models": _get("List every method on every model that can run it.", models.LIST),
        "/v1/models/{model}": _get("Describe one of them.", models.MODEL, more=(404,), parameter="model"),
        "/healthz": _get("Whether the process lives.", health.HEALTH),
        "/readyz": _get("Whether work is welcome.", health.READY, also={503: health.READY}),
        "/metrics": _text("Numbers for Prometheus."),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ponder gateway",
            "version": __version__,
            "description": "OpenAI's API, where each answer may be the best of several under a budget.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _post(
    summary: str,
    request: dict[str, Any],
    response: dict[str, Any],
    names: list[str],
    chunk: dict[str, Any] | None = None,
) -> dict[str, Any]:
    body = copy.deepcopy(request)
    if names:
        known = {"type": "string", "enum": names}
        body["properties"]["model"] = {"anyOf": [known, body["properties"]["model"]]}
    content: dict[str, Any] = {"application/json": {"schema": response}}
    if chunk is not None:
        content["text/event-stream"] = {"schema": {"description": "Server-sent events of the form x-event."}}
    operation = {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": _ok(content, traced=True), **_errors(*_RUN)},
    }
    if chunk is not None:
        operation["x-event"] = chunk
    return {"post": operation}


def _get(
    summary: str,
    response: dict[str, Any],
    *,
    more: tuple[int, ...] = (),
    also: dict[int, dict[str, Any]] | None = None,
    parameter: str = "",
) -> dict[str, Any]:
    responses = {"200": _ok({"application/json": {"schema": response}}), **_errors(*more)}
    for status, schema in (also or {}).items():
        responses[str(status)] = {
            "description": _MEANINGS[status],
            "content": {"application/json": {"schema": schema}},
        }
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if parameter:
        operation["parameters"] = [
            {"name": parameter, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        ]
    return {"get": operation}


def _text(summary: str) -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {"get": {"summary": summary, "responses": {"200": _ok(content), **_errors(404)}}}


def _ok(content: dict[str, Any], *, traced: bool = False) -> dict[str, Any]:
    out: dict[str, Any] = {"description": "Done.", "content": content}
    if traced:
        out["headers"] = {"x-ponder-trace": {"schema": {"type": "string"}, "description": "Names the run's record."}}
    return out


def _errors(*statuses: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {
        str(status): {"description": _MEANINGS[status], "content": {"application/json": {"schema": schema}}}
        for status in sorted({*_ALWAYS, *statuses})
    }


class OpenApi(Endpoint):
    """`GET /openapi.json`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def serve(self, exchange: Exchange) -> None:
        """Answer."""
        await exchange.reply(dumps(document(self._gateway)))
