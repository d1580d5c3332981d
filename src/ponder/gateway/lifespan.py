"""Serving: where it listens, how it ends, and how it reads its settings again.

On SIGTERM or SIGINT no new connection is taken, `/readyz` says no, and runs may finish for a while; what is left then
ends with the best answer it has, and only what does not even do that is cut off. SIGHUP reads the settings again.

Source: uvicorn runs the sockets.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.core.errors import ConfigError
from ponder.core.registry import need
from ponder.core.store import Store
from ponder.gateway.app import build
from ponder.gateway.gateway import Gateway
from ponder.gateway.patience import protocol
from ponder.gateway.settings import Settings

if TYPE_CHECKING:
    import uvicorn

__all__ = ["GRACE_SECONDS", "make_server", "serve"]

logger = logging.getLogger(__name__)
# Seconds in which runs may finish by themselves, and then to send the best answer so far.
GRACE_SECONDS = 20.0
_LAST_SECONDS = 5.0
_BACKLOG = 2048


async def serve(
    settings: Settings,
    *,
    path: Path | None = None,
    store: Store | None = None,
    grace: float = GRACE_SECONDS,
    started: Callable[[str], None] | None = None,
    told: Callable[[str], None] | None = None,
    access_log: bool = False,
) -> None:
    """Serve until told to stop.

    Args:
        settings: where and what.
        path: the file they came from, for SIGHUP.
        store: response store for requests that ask for one.
        grace: seconds in which runs may finish at the end.
        started: called with the address once it listens.
        told: called with what a SIGHUP did.
        access_log: log each request (never its headers or body).

    Raises:
        BadInput: something that the settings name cannot be opened.
        ConfigError: the address is taken, or not this machine's.
        MissingExtra: a library is missing.
    """
    gateway = await Gateway.open(settings, path=path, store=store)
    server = make_server(gateway, grace=grace, access_log=access_log)
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        line = await gateway.reload()
        logger.warning("%s", line)
        if told is not None:
            told(line)

    def hang_up() -> None:
        task = loop.create_task(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    with suppress(NotImplementedError, AttributeError, ValueError):  # no such signal, or not the main thread
        loop.add_signal_handler(signal.SIGHUP, hang_up)
    try:
        sockets = [_bind(settings.server.host, settings.server.port)]
    except BaseException:
        await gateway.close()
        raise
    if started is not None:
        host, port = sockets[0].getsockname()[:2]
        started(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    # What is loaded by now stays: full collections need not look through it (12 ms in which nobody is served).
    gc.collect()
    gc.freeze()
    try:
        await server.serve(sockets=sockets)
    finally:
        gc.unfreeze()


def make_server(gateway: Gateway, *, grace: float = GRACE_SECONDS, access_log: bool = False) -> uvicorn.Server:
    """Return a server for the gateway that ends runs with their best answer before it cuts them off."""
    library = need("uvicorn", extra="gateway", feature="the gateway")

    class Server(library.Server):  # type: ignore[misc, name-defined]  # known once the extra is there
        async def shutdown(self, sockets: Any = None) -> None:
            gateway.draining = True
            ending = asyncio.get_running_loop().call_later(grace, gateway.end_runs, "the gateway is shutting down")
            try:
                await super().shutdown(sockets=sockets)
            finally:
                ending.cancel()

    config = library.Config(
        build(gateway),
        http=protocol(),
        log_config=None,
        access_log=access_log,
        server_header=False,
        # What follows a reload or a proxy is not trusted: the gateway sees the address that connected.
        proxy_headers=False,
        timeout_graceful_shutdown=round(grace + _LAST_SECONDS),
        timeout_keep_alive=30,
        backlog=_BACKLOG,
        lifespan="on",
    )
    made: uvicorn.Server = Server(config)
    return made


def _bind(host: str, port: int) -> Any:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named asyncio turns Nagle's wait off, which would cost each reply 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # who is told the address may connect at once
    except (OSError, OverflowError) as err:
        listener.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {getattr(err, 'strerror', None) or err}") from err
    listener.setblocking(False)
    return listener
