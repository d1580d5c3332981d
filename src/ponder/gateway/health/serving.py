"""Whether the gateway lives, whether it can take work, and its numbers."""

from __future__ import annotations

from typing import Any

from ponder._version import __version__
from ponder.gateway.gateway import Gateway

__all__ = ["health", "ready"]


def health() -> dict[str, Any]:
    """Return that the process answers; nothing else is looked at."""
    return {"status": "ok", "version": __version__}


def ready(gateway: Gateway) -> tuple[bool, dict[str, Any]]:
    """Return whether work is welcome: not while shutting down, nor while every upstream of some model rests.

    No upstream is asked: one counts as able until a request has failed on it, and again when its rest is over.
    """
    models = {name: line.healthy for name, line in gateway.house.lines.by_model.items()}
    good = not gateway.draining and all(models.values())
    return good, {"ready": good, "draining": gateway.draining, "models": models}
