"""The list of models: its schema."""

from __future__ import annotations

from typing import Any

__all__ = ["LIST", "MODEL"]

MODEL: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "What to write as `model`."},
        "object": {"enum": ["model"]},
        "created": {"type": "integer"},
        "owned_by": {"type": "string"},
        "ponder": {
            "type": "object",
            "properties": {
                "method": {"type": "string"},
                "model": {"type": "string"},
                "needs": {"type": "array", "items": {"type": "string"}},
                "access": {"type": "array", "items": {"type": "string"}},
                "calls": {"type": "object", "additionalProperties": {"type": "integer"}},
            },
            "required": ["method", "model", "needs", "access", "calls"],
        },
    },
    "required": ["id", "object", "created", "owned_by"],
}
LIST: dict[str, Any] = {
    "type": "object",
    "properties": {"object": {"enum": ["list"]}, "data": {"type": "array", "items": MODEL}},
    "required": ["object", "data"],
}
