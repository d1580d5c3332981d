"""One HTTP exchange on bare ASGI: a bounded JSON body in, a reply or a stream out, and an ear on the client.

Source: the ASGI specification. Starlette routes; between its routes and the socket there is nothing but this file,
because it is on the way of every token.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ponder.core.tasks import plain
from ponder.gateway.errors import ApiError, of, of_stop

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["Endpoint", "Exchange", "Visitor", "dumps"]

logger = logging.getLogger(__name__)
T = TypeVar("T")

_JSON = b"application/json"
# Seconds for a body to arrive, and for a client to take what was sent: one that is slower is let go.
BODY_SECONDS = 30.0
STALL_SECONDS = 60.0


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)
_encoder = json.JSONEncoder(separators=(",", ":"))


def dumps(value: Any) -> bytes:
    """Return compact JSON; what is not ASCII is escaped, so that half a surrogate pair cannot break a reply."""
    return _encoder.encode(value).encode()


class Visitor:
    """The client at the other end.

    Attributes:
        gone: whether it has hung up.
        why: what a run that ends for it says.
    """

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self.why = "the client hung up"
        self._receive = receive
        self._calls: list[Callable[[], None]] = []

    def when_gone(self, call: Callable[[], None]) -> None:
        """Call `call` when the client hangs up (at once if it has)."""
        self._calls.append(call)
        if self.gone:
            call()

    def leave(self) -> None:
        """Note that the client is gone."""
        if not self.gone:
            self.gone = True
            for call in self._calls:
                call()

    async def attended(self, work: Awaitable[T]) -> T:
        """Await `work` while listening for the client to hang up; the work decides what that means for it.

        Raises:
            Exception: what the work raises.
        """
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch())
                try:
                    return await work
                finally:
                    watching.cancel()
        except BaseExceptionGroup as err:
            raise plain(err) from None

    async def until_gone(self, work: Awaitable[T], *, seconds: float | None = None) -> T:
        """Await work that is of no use to a client that has gone, or after so many seconds; it is cancelled then.

        Raises:
            ApiError: the client is gone, or the time is over.
        """
        loop = asyncio.get_running_loop()
        scope = asyncio.timeout(seconds)
        inside = True

        def stop() -> None:
            if inside:
                scope.reschedule(loop.time())

        try:
            async with scope:
                self.when_gone(stop)
                return await work
        except TimeoutError:
            if not scope.expired():
                raise
            if self.gone:
                raise of_stop("cancelled", "the client hung up") from None
            raise of_stop("deadline", "the time was over before the work began") from None
        finally:
            inside = False

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.leave()


class Exchange:
    """One request and its reply.

    Attributes:
        scope: of ASGI.
        visitor: the client.
        started: whether the reply has begun: from then on no other status can be sent.
        headers: names in lower case; of a repeated one the last.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.visitor = Visitor(receive)
        self.started = False
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive, self._send = receive, send

    def header(self, name: str) -> str | None:
        """Return a request header."""
        value = self.headers.get(name.encode())
        return None if value is None else value.decode("latin-1")

    async def body(self, limit: int) -> bytes:
        """Return the request's body.

        Raises:
            ApiError: it is longer than `limit` bytes, too slow, or the client hung up.
        """
        length = self.headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > limit:
            raise _too_large(limit)
        message = await self._within_time()
        data: bytes = message.get("body", b"")
        if not message.get("more_body", False) and len(data) <= limit:
            return data
        pieces, total = [data], len(data)
        while message.get("more_body", False):
            if total > limit:
                raise _too_large(limit)
            message = await self._within_time()
            data = message.get("body", b"")
            pieces.append(data)
            total += len(data)
        if total > limit:
            raise _too_large(limit)
        return b"".join(pieces)

    async def _within_time(self) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(f"the body did not arrive within {BODY_SECONDS:g} s", status=408, code="slow_body") from None
        if message["type"] == "http.disconnect":
            self.visitor.leave()
            raise ApiError("the client hung up", status=400)
        return message

    async def json(self, limit: int) -> Any:
        """Return the request's body as JSON.

        Raises:
            ApiError: as `body`; no UTF-8, or no JSON.
        """
        data = await self.body(limit)
        try:
            return _decoder.decode(data.decode())
        except UnicodeDecodeError as err:
            raise ApiError(f"the body is not UTF-8 (byte {err.start})", code="bad_json") from None
        except ValueError as err:
            raise ApiError(f"the body is no JSON: {str(err)[:200]}", code="bad_json") from None
        except RecursionError:
            raise ApiError("the body is nested too deeply", code="bad_json") from None

    async def reply(
        self,
        data: bytes,
        *,
        status: int = 200,
        kind: bytes = _JSON,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a whole reply."""
        self.started = True
        head = [(b"content-type", kind), (b"content-length", str(len(data)).encode()), *_wire(headers)]
        await self._send({"type": "http.response.start", "status": status, "headers": head})
        await self._send({"type": "http.response.body", "body": b"" if self.scope["method"] == "HEAD" else data})

    async def fail(self, err: ApiError) -> None:
        """Send an error as the whole reply."""
        headers = dict(err.headers)
        if err.retry_after is not None:
            headers["retry-after"] = str(max(1, round(err.retry_after)))
        await self.reply(dumps(err.body()), status=err.status, headers=headers)

    async def start_stream(self, headers: Mapping[str, str] | None = None) -> None:
        """Begin a stream of server-sent events."""
        self.started = True
        head = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
            *_wire(headers),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": head})

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send a piece of a stream; a client that takes none of it for a minute has left."""
        if self.visitor.gone and not last:
            return
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        except OSError:  # hung up, or (a TimeoutError) stalled
            self.visitor.leave()


class Endpoint:
    """An ASGI application that answers one route; what it raises becomes an answer in OpenAI's error format."""

    async def serve(self, exchange: Exchange) -> None:
        """Answer."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        exchange = Exchange(scope, receive, send)
        try:
            await self.serve(exchange)
        except Exception as err:
            answer = of(err)
            if answer is None:
                logger.exception("a fault in the gateway at %s", scope.get("path"))
                answer = ApiError("something went wrong in the gateway", status=500, kind="server_error")
            elif answer.status >= 500 and not exchange.visitor.gone:
                logger.warning("%s: %s", scope.get("path"), err)
            if exchange.started:
                logger.warning("%s failed within its reply: %s", scope.get("path"), err)
            elif not exchange.visitor.gone:
                await exchange.fail(answer)


def _too_large(limit: int) -> ApiError:
    return ApiError(f"the body is longer than {limit} bytes", status=413, code="body_too_large")


def _wire(headers: Mapping[str, str] | None) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in (headers or {}).items()]
