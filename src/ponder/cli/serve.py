"""`ponder serve`: the OpenAI-compatible gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ponder.gateway.settings import Settings

__all__ = ["serve"]


def serve(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="[CONFIG.toml]", help="Settings: upstreams, keys, limits.", show_default=False),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Serve the embedded model, without a settings file.")] = False,
    host: Annotated[
        str | None, typer.Option(help="Address; anything but loopback needs keys.  [default: from the settings]")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = None,
    store: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Response store for requests that ask for it, in place of the settings'."),
    ] = None,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds in which running requests may finish at the end.")
    ] = 20.0,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Log each request's line to standard error.")
    ] = False,
) -> None:
    """Serve models with OpenAI's API: name METHOD@MODEL as the model, or say more in the field `ponder`.

    SIGHUP reads the settings again; SIGTERM lets running requests finish, or answer with the best they have.
    """
    import asyncio
    import logging
    from dataclasses import replace

    from ponder.cli.console import tell
    from ponder.gateway import lifespan

    settings = _settings(config, demo=demo, host=host, port=port)
    if store is not None:
        settings = replace(settings, store=replace(settings.store, file=str(store)))
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("ponder: %(message)s"))
    for name in ("ponder", "uvicorn"):
        logging.getLogger(name).addHandler(handler)
    logging.getLogger("uvicorn.access").setLevel(logging.INFO if access_log else logging.WARNING)

    def started(url: str) -> None:
        names = ", ".join(settings.models)
        tell(f"ponder: {names} at {url}/v1 (method: {settings.default_method}); Ctrl-C ends it")

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(lifespan.serve(settings, path=config, grace=grace, started=started, access_log=access_log))
    except KeyboardInterrupt:
        pass


def _settings(config: Path | None, *, demo: bool, host: str | None, port: int | None) -> Settings:
    """Return the settings with what the command line says on top.

    Raises:
        ConfigError: neither a file nor the demo, or both; an open address without keys.
        BadInput: the file cannot be used.
    """
    from dataclasses import replace

    from ponder.core.errors import ConfigError
    from ponder.gateway.settings import Settings, Traces, Upstream
    from ponder.gateway.settings_file import load_settings
    from ponder.gateway.upstreams import EMBEDDED

    if demo == (config is not None):
        raise ConfigError("give either a settings file or --demo: ponder serve CONFIG.toml")
    if config is None:
        embedded = Upstream(name=EMBEDDED, spec="embedded", max_concurrent=8)
        # The page shows the last runs; nothing of a demo is kept on disk.
        traces = Traces(file=":memory:", rows=1000)
        settings = Settings(upstreams=(embedded,), roles={"judge": EMBEDDED}, traces=traces)
    else:
        settings = load_settings(config)
    server = settings.server
    if host is not None:
        server = replace(server, host=host)
    if port is not None:
        server = replace(server, port=port)
    return replace(settings, server=server)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where it is installed: it halves the time that sockets take."""
    import importlib.util

    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made
