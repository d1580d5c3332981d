"""What the health endpoints answer."""

from __future__ import annotations

from typing import Any

__all__ = ["HEALTH", "READY"]

HEALTH: dict[str, Any] = {
    "type": "object",
    "properties": {"status": {"enum": ["ok"]}, "version": {"type": "string"}},
    "required": ["status", "version"],
}
READY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "ready": {"type": "boolean"},
        "draining": {"type": "boolean"},
        "models": {"type": "object", "additionalProperties": {"type": "boolean"}},
    },
    "required": ["ready", "draining", "models"],
}
