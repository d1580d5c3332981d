"""How long a connection may take to say what it wants: without this, a head that never ends holds its socket for ever.

Source: uvicorn's own protocol on httptools, which limits idle connections between requests, but no head in progress.
A connection that has not sent a whole head in time is closed without an answer; bodies are limited in `exchange`.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from ponder.core.registry import need

__all__ = ["HEAD_SECONDS", "protocol"]

# Seconds from a connection, or from the first byte after an answer, to the end of the head.
HEAD_SECONDS = 20.0


@cache
def protocol() -> Any:
    """Return the protocol class for uvicorn.

    Raises:
        MissingExtra: uvicorn or httptools is not installed.
    """
    base: Any = need("uvicorn.protocols.http.httptools_impl", extra="gateway", feature="the gateway").HttpToolsProtocol

    class Protocol(base):  # type: ignore[misc]  # known once the extra is there
        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._waiting is None and (self.cycle is None or self.cycle.response_complete):
                self._wait()

        def on_headers_complete(self) -> None:
            self._unwait()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwait()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._waiting = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

        def _unwait(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

    return Protocol
