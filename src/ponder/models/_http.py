"""JSON over HTTP to one server: bounded bodies, server-sent events, and transport failures as ponder's errors.

Source: aiohttp, chosen by measurement (0.13 ms of CPU a call at 64 connections against 7.8 ms for one httpx pool).
Needs: nothing beyond the base install.
The key is in the session's headers and nowhere else: no error, log line or repr holds it, not even when the server
echoes it; redirects are not followed, so it cannot travel to another host.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ponder.core.errors import BadReply, EndpointDown, ProviderError, ProviderTimeout
from ponder.models._quirks import failure

if TYPE_CHECKING:
    import ssl

    import aiohttp

__all__ = ["DONE", "Resolver", "Secret", "Transport", "TransportOptions"]

DONE = object()  # stands for the event `[DONE]`


class Resolver(Protocol):
    """Finds the addresses of a host; the shape of `aiohttp.abc.AbstractResolver`."""

    async def resolve(self, host: str, port: int, family: socket.AddressFamily) -> Sequence[Mapping[str, Any]]:
        """Return the addresses of `host`.

        Raises:
            OSError: there are none.
        """

    async def close(self) -> None:
        """Release what it holds."""


class Secret:
    """A key that shows itself to nobody but the transport."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a key is not written anywhere")


@dataclass(frozen=True, kw_only=True)
class TransportOptions:
    """How a server is reached.

    Attributes:
        key: sent as a bearer token.
        timeout: seconds that one call may take in all, > 0.
        connect_timeout: seconds to connect, > 0.
        max_bytes: longest reply that is read.
        ssl: TLS settings; None verifies against the system's authorities.
        resolver: resolves host names; None asks the system.
    """

    key: Secret = field(default_factory=lambda: Secret(""))
    timeout: float = 300.0
    connect_timeout: float = 10.0
    max_bytes: int = 32 * 2**20
    ssl: ssl.SSLContext | None = None
    resolver: Resolver | None = None


class Transport:
    """Connections to one server, opened on first use and re-opened in another event loop.

    How many there are is the limiter's business; the pool itself has no limit.
    """

    def __init__(self, base_url: str, options: TransportOptions) -> None:
        self.base_url = base_url
        self._options = options
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        """Close the connections; calling it twice is harmless."""
        session, self._session = self._session, None
        if session is not None and self._loop is asyncio.get_running_loop():
            await session.close()

    async def json(self, url: str, body: Mapping[str, Any] | None = None, *, timeout: float | None = None) -> Any:
        """Return the JSON reply to a POST of `body`, or to a GET without one.

        Args:
            url: whole address, or a path below the base URL.
            body: what to send.
            timeout: seconds in place of the option.

        Raises:
            ProviderError: no reply, another status than 200, or no JSON.
        """
        import aiohttp

        seconds = self._options.timeout if timeout is None else timeout
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(seconds), await self._send(url, body) as response:
                data = await self._read(response)
        except (aiohttp.ClientError, OSError) as err:  # a TimeoutError is an OSError
            failed = self._failed(err, response, seconds)
        else:
            try:
                return json.loads(data)
            except ValueError as err:
                raise BadReply(f"{self.base_url}: the reply is no JSON ({len(data)} bytes)", status=200) from err
        raise failed

    async def events(self, url: str, body: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """Yield the JSON of each server-sent event, and `DONE` where the server ends them itself.

        Raises:
            ProviderError: as for `json`, also in the middle.
        """
        import aiohttp

        seconds = self._options.timeout
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(seconds), await self._send(url, body) as response:
                if response.content_type == "application/json":  # an error, or a server that does not stream
                    yield self._event(await self._read(response))
                    yield DONE
                    return
                rest, total = b"", 0
                while piece := await response.content.readany():
                    total += len(piece)
                    self._check(total, response.status)
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        if not line.startswith(b"data:"):
                            continue  # blank lines, comments that keep the connection alive, event names
                        data = line[5:].strip()
                        if data == b"[DONE]":
                            yield DONE
                            await _drain(response)
                            return
                        yield self._event(data)
                if rest.strip() == b"data: [DONE]":
                    yield DONE
                elif rest.strip():
                    raise BadReply(f"{self.base_url}: the stream ended within a line", status=200)
                return
        except (aiohttp.ClientError, OSError) as err:
            failed = self._failed(err, response, seconds)
        raise failed

    def _event(self, data: bytes) -> Any:
        try:
            return json.loads(data.decode())  # spares json's guess of the encoding
        except ValueError as err:
            raise BadReply(f"{self.base_url}: a stream event is no JSON", status=200) from err

    def _failed(self, err: Exception, response: aiohttp.ClientResponse | None, seconds: float) -> ProviderError:
        """Return ponder's error for aiohttp's, whose cause it becomes where that gives nothing away.

        Args:
            err: what ended the call.
            response: the answer, if it had begun: what was written until then has been paid for.
            seconds: what the call was given.
        """
        import aiohttp

        status = None if response is None else response.status
        failed: ProviderError
        if isinstance(err, aiohttp.ConnectionTimeoutError):
            failed = EndpointDown(f"{self.base_url} could not be reached: no connection in time")
        elif isinstance(err, TimeoutError):
            failed = ProviderTimeout(f"{self.base_url}: no whole answer within {seconds:g} s", status=status)
        elif isinstance(err, aiohttp.ClientConnectorError):
            failed = EndpointDown(f"{self.base_url} could not be reached: {_cause(err)}")
        elif isinstance(err, aiohttp.ClientResponseError):
            # Its request_info holds the headers, key included: it must not become part of our error's chain.
            return BadReply(f"{self.base_url}: not an HTTP reply ({type(err).__name__})", status=status)
        else:
            when = "before an answer" if response is None else "in the middle of the answer"
            failed = BadReply(f"{self.base_url}: connection lost {when}: {_cause(err)}", status=status)
        failed.__cause__ = err
        return failed

    async def _send(self, url: str, body: Mapping[str, Any] | None) -> aiohttp.ClientResponse:
        """Return the answer once its head is there.

        Raises:
            ProviderError: it has another status than 200.
        """
        import aiohttp

        address = url if "://" in url else self.base_url + url
        session = self._connect()
        method, data = ("GET", None) if body is None else ("POST", json.dumps(body).encode())
        try:
            response = await session.request(method, address, data=data, allow_redirects=False)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # Most likely a connection from the pool that the server had just closed (llama.cpp does so after each
            # stream, whatever its headers promise): that is no fault to wait for.
            response = await session.request(method, address, data=data, allow_redirects=False)
        if response.status != 200:
            async with response:
                raise self._refusal(response, (await self._read(response)).decode(errors="replace"))
        return response

    def _connect(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            import aiohttp

            if self._session is not None:
                self._session.detach()  # its loop is gone, and its connections with it
            options = self._options
            headers = {"Content-Type": "application/json"}
            if options.key:
                headers["Authorization"] = f"Bearer {options.key.reveal()}"
            self._session = aiohttp.ClientSession(
                headers=headers,
                connector=aiohttp.TCPConnector(
                    limit=0,
                    # uvicorn and llama.cpp hang up after 5 idle seconds: let go before they do.
                    keepalive_timeout=3.0,
                    resolver=options.resolver,
                    ssl=True if options.ssl is None else options.ssl,
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=options.connect_timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            self._loop = loop
        return self._session

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        pieces: list[bytes] = []
        total = 0
        while piece := await response.content.readany():
            total += len(piece)
            self._check(total, response.status)
            pieces.append(piece)
        return b"".join(pieces)

    def _check(self, total: int, status: int) -> None:
        if total > self._options.max_bytes:
            raise BadReply(f"{self.base_url}: the reply is longer than {self._options.max_bytes} bytes", status=status)

    def _refusal(self, response: aiohttp.ClientResponse, text: str) -> ProviderError:
        key = self._options.key.reveal()
        if key:
            text = text.replace(key, "***")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return failure(response.status, headers, text, now=time.time())


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read the few bytes behind `[DONE]`, so that the connection can be used again. The answer itself is whole."""
    import aiohttp

    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(1.0):
            while await response.content.readany():
                pass


def _cause(err: BaseException) -> str:
    return str(err) or type(err).__name__
