"""`/`, `/assets/...` and `/ponder/...`: the page and its JSON.

The page itself needs no key, since it holds nothing; everything below `/ponder/` does where keys are configured. A key
sees its own requests; one that is marked `operator`, or anybody where there are no keys, sees all of them, the benches,
and may change the policy.
Source: our own; headers after the Content Security Policy, level 3 (W3C).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

from ponder._version import __version__
from ponder.core.registry import need
from ponder.core.trace import finite, parse_lines
from ponder.gateway.choice import PASS_THROUGH
from ponder.gateway.errors import ApiError
from ponder.gateway.exchange import Endpoint, Exchange, dumps
from ponder.gateway.gateway import Gateway
from ponder.gateway.pages.benches import Benches
from ponder.gateway.pages.catalogue import catalogue, choices
from ponder.gateway.pages.live import LiveRuns
from ponder.gateway.pages.traffic import traffic
from ponder.gateway.pages.tree import tree_of
from ponder.gateway.settings import Key
from ponder.gateway.trace_book import TraceRecord
from ponder.web.assets import INDEX, Asset, assets

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

__all__ = ["POLICY", "page_routes"]

# What the page may do: run, style and show its own files, and talk to where it came from. No HTML is made of texts.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_SAFE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_FRESH = {**_SAFE, "cache-control": "no-store", "content-security-policy": "default-src 'none'; frame-ancestors 'none'"}
_Serve: TypeAlias = "Callable[[Exchange, Key], Awaitable[Any]]"


def page_routes(gateway: Gateway) -> list[BaseRoute]:
    """Return the routes of the page; none where the settings leave it out."""
    if not gateway.house.settings.server.page:
        return []
    routing = need("starlette.routing", extra="gateway", feature="the page")
    pages = _Pages(gateway)
    live = LiveRuns(gateway)

    def get(path: str, serve: _Serve) -> BaseRoute:
        return routing.Route(path, _Json(gateway, serve), methods=["GET"])  # type: ignore[no-any-return]

    def post(path: str, serve: _Serve) -> BaseRoute:
        return routing.Route(path, _Json(gateway, serve), methods=["POST"])  # type: ignore[no-any-return]

    async def cancel(exchange: Exchange, key: Key) -> dict[str, Any]:
        stopped = live.cancel(exchange.scope["path_params"]["run"], key, everyone=_sees_all(gateway, key))
        if not stopped:
            raise ApiError("this run is not in progress", status=404, code="not_found")
        return {"stopped": True}

    return [
        routing.Route("/", _Static(), methods=["GET"]),
        routing.Route("/assets/{path:path}", _Static(), methods=["GET"]),
        get("/ponder/state", pages.state),
        get("/ponder/traces", pages.traces),
        get("/ponder/traces/{trace}", pages.trace),
        get("/ponder/traffic", pages.traffic),
        get("/ponder/catalogue", pages.catalogue),
        get("/ponder/benches", pages.benches),
        get("/ponder/benches/{bench:path}", pages.report),
        post("/ponder/tree", pages.tree),
        post("/ponder/policy", pages.policy),
        post("/ponder/runs", live.follow),
        post("/ponder/runs/{run}/cancel", cancel),
    ]


class _Static(Endpoint):
    """Sends the page's files."""

    async def serve(self, exchange: Exchange) -> None:
        """Answer."""
        name = exchange.scope.get("path_params", {}).get("path", INDEX)
        asset: Asset | None = assets().get(name)
        if asset is None:
            raise ApiError("there is no such file", status=404, code="not_found")
        headers = {**_SAFE, "content-security-policy": POLICY, "cache-control": "no-cache", "etag": asset.etag}
        same = exchange.header("if-none-match") == asset.etag
        await exchange.reply(b"" if same else asset.body, status=304 if same else 200, kind=asset.kind, headers=headers)


class _Json(Endpoint):
    """Answers a question of the page, once it is known whose page it is."""

    def __init__(self, gateway: Gateway, serve: _Serve) -> None:
        self._gateway, self._serve = gateway, serve

    async def serve(self, exchange: Exchange) -> None:
        """Answer."""
        key = self._gateway.key_of(exchange)
        found = await self._serve(exchange, key)
        if not exchange.started:
            await exchange.reply(dumps(finite(found)), headers=_FRESH)


class _Pages:
    """The questions."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._benches = Benches(gateway)

    async def state(self, exchange: Exchange, key: Key) -> dict[str, Any]:
        """What can be asked for here."""
        gateway = self._gateway
        settings = gateway.house.settings
        with gateway.visit() as house:
            usable = [
                {"id": one.id, "method": one.method, "model": one.model, "needs": list(one.needs), "calls": one.calls}
                for one in house.chooser.usable()
                if (key.methods is None or one.method in key.methods)
                and (key.models is None or one.model in key.models)
            ]
        return {
            "version": __version__,
            "key": key.name,
            "operator": _sees_all(gateway, key),
            "traces": settings.traces.file is not None,
            "texts": settings.traces.texts,
            "models": [one for one in usable if "@" in one["id"]],
            "single": PASS_THROUGH,
            "default_method": settings.default_method,
            **choices(),
        }

    async def traces(self, exchange: Exchange, key: Key) -> dict[str, Any]:
        """Rows of the book, the newest first."""
        asked = _query(exchange)
        rows = await self._gateway.book.list(
            limit=round(_number(asked, "limit", 50, 1, 200)),
            before=round(_number(asked, "before", 0, 0, 2**62)) or None,
            key=asked.get("key") or None if _sees_all(self._gateway, key) else key.name,
            method=asked.get("method") or None,
            model=asked.get("model") or None,
        )
        kept = self._gateway.book.rules.file is not None
        return {"kept": kept, "rows": [asdict(row) for row in rows]}

    async def trace(self, exchange: Exchange, key: Key) -> dict[str, Any]:
        """One record with its tree."""
        record = await self._gateway.book.get(exchange.scope["path_params"]["trace"])
        if record is None or not (_sees_all(self._gateway, key) or record.key == key.name):
            raise ApiError("there is no such trace", status=404, code="not_found")
        return await asyncio.to_thread(_record, record)

    async def tree(self, exchange: Exchange, key: Key) -> dict[str, Any]:
        """The tree of a trace file that the page sends."""
        body = await exchange.body(self._gateway.house.settings.request.max_body_bytes)
        return {"tree": await asyncio.to_thread(_tree_of_file, body.decode("utf-8", "replace"))}

    async def traffic(self, exchange: Exchange, key: Key) -> dict[str, Any]:
        """What passed."""
        hours = _number(_query(exchange), "hours", 1.0, 1 / 60, 24 * 31)
        return await traffic(self._gateway, key, hours=hours, everyone=_sees_all(self._gateway, key))

    async def catalogue(self, exchange: Exchange, key: Key) -> dict[str, Any]:
        """Papers and components."""
        return catalogue()

    async def benches(self, exchange: Exchange, key: Key) -> dict[str, Any]:
        """Benches and policies."""
        self._check_operator(key)
        return await self._benches.listed()

    async def report(self, exchange: Exchange, key: Key) -> dict[str, Any]:
        """One report."""
        self._check_operator(key)
        return await self._benches.report(exchange.scope["path_params"]["bench"])

    async def policy(self, exchange: Exchange, key: Key) -> dict[str, Any]:
        """Activate a policy, or go back to the one before."""
        self._check_operator(key)
        body = await exchange.json(10_000)
        match body:
            case {"activate": str(name)}:
                return self._benches.activate(name)
            case {"roll_back": True}:
                return self._benches.roll_back()
        raise ApiError('write {"activate": NAME} or {"roll_back": true}')

    def _check_operator(self, key: Key) -> None:
        if not _sees_all(self._gateway, key):
            raise ApiError(
                "this key may not see benches or change the policy: set `operator = true` for one that may",
                status=403,
                kind="permission_error",
                code="not_allowed",
            )


def _sees_all(gateway: Gateway, key: Key) -> bool:
    return not gateway.house.settings.keys or key.operator


def _record(record: TraceRecord) -> dict[str, Any]:
    result = {name: value for name, value in record.result.items() if name not in ("candidates", "usage", "paid")}
    names = ("id", "created", "key", "method", "model", "status", "stopped", "seconds")
    return {
        **{name: getattr(record, name) for name in names},
        "paid": {role: usage.to_json() for role, usage in record.paid.items()},
        "request": dict(record.request),
        "result": result,
        "tree": tree_of(record.events, record.result),
    }


def _tree_of_file(text: str) -> dict[str, Any]:
    """Return the tree of JSON lines that anybody may have written.

    Raises:
        ApiError: they are no trace of a run.
        BadInput: they are no trace.
    """
    events = parse_lines(text.split("\n"), "the file")
    if not events:
        raise ApiError("the file holds no trace")
    try:
        return tree_of(events)
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as err:
        raise ApiError(f"the file holds no trace of a run ({type(err).__name__})") from None


def _query(exchange: Exchange) -> dict[str, str]:
    return dict(parse_qsl(exchange.scope["query_string"].decode("latin-1")))


def _number(asked: dict[str, str], name: str, default: float, least: float, most: float) -> float:
    try:
        value = float(asked.get(name, default))
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise ApiError(f"{name} must be a number from {least:g} to {most:g}", param=name)
    return value
