"""The body of an embeddings request: its schema."""

from __future__ import annotations

from typing import Any

from ponder.gateway.schema import USAGE, checker, nullable

__all__ = ["REQUEST", "RESPONSE", "check", "texts_of"]

_IDS = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2**31}, "minItems": 1}
REQUEST: dict[str, Any] = {
    "type": "object",
    "properties": {
        "model": {"type": "string", "minLength": 1},
        "input": {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 2048},
                _IDS,
                {"type": "array", "items": _IDS, "minItems": 1, "maxItems": 2048},
            ]
        },
        "dimensions": nullable({"type": "integer", "minimum": 1, "maximum": 1_000_000}),
        "encoding_format": {"enum": ["float", "base64", None]},
        "user": nullable({"type": "string"}),
    },
    "required": ["model", "input"],
}
RESPONSE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "object": {"type": "string"},
        "model": {"type": "string"},
        "data": {"type": "array", "items": {"type": "object"}},
        "usage": {**USAGE, "required": ["prompt_tokens", "total_tokens"]},
    },
    "required": ["data", "model"],
}

check = checker(REQUEST)


def texts_of(data: Any) -> list[str] | None:
    """Return the texts of an input; None where it is token ids."""
    if isinstance(data, str):
        return [data]
    return data if isinstance(data[0], str) else None
