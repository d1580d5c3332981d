"""Every method on every model that can run it, with what it needs."""

from __future__ import annotations

from typing import Any

from ponder.gateway.choice import Usable
from ponder.gateway.errors import ApiError
from ponder.gateway.gateway import House
from ponder.gateway.settings import Key

__all__ = ["listed", "one"]

# The gateway does not know when a model was made; OpenAI's clients want a number.
_CREATED = 0


def listed(house: House, key: Key) -> dict[str, Any]:
    """Return what this key may ask for."""
    return {"object": "list", "data": [_json(usable) for usable in house.chooser.usable() if _may(key, usable)]}


def one(house: House, key: Key, name: str) -> dict[str, Any]:
    """Return one of them.

    Raises:
        ApiError: 404.
    """
    for usable in house.chooser.usable():
        if usable.id == name and _may(key, usable):
            return _json(usable)
    raise ApiError(f"no model is called {name[:100]!r}", status=404, code="model_not_found", param="model")


def _may(key: Key, usable: Usable) -> bool:
    return (key.methods is None or usable.method in key.methods) and (key.models is None or usable.model in key.models)


def _json(usable: Usable) -> dict[str, Any]:
    return {
        "id": usable.id,
        "object": "model",
        "created": _CREATED,
        "owned_by": "ponder",
        "ponder": {
            "method": usable.method,
            "model": usable.model,
            "needs": list(usable.needs),
            "access": list(usable.access),
            "calls": dict(usable.calls),
        },
    }
