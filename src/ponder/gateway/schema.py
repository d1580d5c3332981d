"""JSON schemas that both check requests and stand in the OpenAPI document, so that the two cannot disagree.

Source: JSON Schema (draft 7) through fastjsonschema, which turns each schema into one Python function at start.
Fields that a schema does not name are let through; the gateway's own object `ponder` is closed, since a misspelt
budget that is silently ignored costs money.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ponder.core.registry import need
from ponder.gateway.errors import ApiError
from ponder.gateway.misfits import misfit

__all__ = ["ERROR", "PONDER", "USAGE", "checker", "nullable"]


def nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that also takes null, which OpenAI's API reads as "not given"."""
    out = dict(schema)
    kinds = out.get("type")
    if isinstance(kinds, str):
        out["type"] = [kinds, "null"]
        if "enum" in out:
            out["enum"] = [*out["enum"], None]
        return out
    return {"anyOf": [out, {"type": "null"}]}


_COUNT = {"type": "integer", "minimum": 1}
_AMOUNT = {"type": "number", "exclusiveMinimum": 0}
_NAMED = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "params": {"type": "object"}},
    "required": ["name"],
    "additionalProperties": False,
}

PONDER: dict[str, Any] = {
    "type": ["object", "null"],
    "description": "How to answer: method, budget and verifier. Everything in it is optional.",
    "properties": {
        "method": {"type": "string", "minLength": 1, "description": "As `ponder methods` lists them, or `single`."},
        "params": {"type": "object", "description": "Settings of the method."},
        "budget": {
            "type": "object",
            "properties": {
                "calls": _COUNT,
                "prompt_tokens": _COUNT,
                "completion_tokens": _COUNT,
                "tokens": _COUNT,
                "seconds": {"type": "number", "minimum": 0.01},
                "usd": _AMOUNT,
                "flops": _AMOUNT,
            },
            "additionalProperties": False,
        },
        "verifier": {"anyOf": [{"type": "string", "minLength": 1}, _NAMED]},
        "policy": {"type": "string", "enum": ["default", "none"]},
        "deadline_ms": {"type": "number", "minimum": 10, "description": "The best answer so far by then."},
        "store": {"type": "boolean"},
        "context_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "description": "With `sleep_time`: a name for the system message, which later requests may leave out.",
        },
        "answer": {"type": "string", "minLength": 1, "description": "Type of the answer, for votes: number, math, ..."},
        "progress": {"type": "string", "enum": ["reasoning", "comments", "none"]},
    },
    "additionalProperties": False,
}

_TOKENS = {"type": "integer", "minimum": 0}
USAGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "prompt_tokens": _TOKENS,
        "completion_tokens": _TOKENS,
        "total_tokens": _TOKENS,
        "prompt_tokens_details": {"type": "object"},
        "completion_tokens_details": {"type": "object"},
        "ponder": {"type": "object", "description": "Calls, money and counts by role."},
    },
    "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
}

ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
            "required": ["message", "type", "param", "code"],
        }
    },
    "required": ["error"],
}


def checker(schema: Mapping[str, Any]) -> Callable[[Any], dict[str, Any]]:
    """Return a function that takes a request's JSON and returns it if it fits.

    The function raises `ApiError` that names the field at fault.
    """
    library = need("fastjsonschema", extra="gateway", feature="the gateway")
    validate = library.compile(dict(schema), use_default=False)
    whole = _whole_numbers(schema)

    def check(data: Any) -> dict[str, Any]:
        try:
            validate(data)
        except library.JsonSchemaValueException as err:
            path, message = misfit(err)
            raise ApiError(message[:500], param=path or None) from None
        except RecursionError:
            raise ApiError("the body is nested too deeply") from None
        checked: dict[str, Any] = data
        for names in whole:
            _make_whole(checked, names)
        return checked

    return check


def _whole_numbers(schema: Mapping[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of the whole numbers in nested objects: JSON also spells 4 as 4.0."""
    found = []
    for name, inner in schema.get("properties", {}).items():
        kinds = inner.get("type", ())
        if "integer" in ((kinds,) if isinstance(kinds, str) else kinds):
            found.append((*above, name))
        found += _whole_numbers(inner, (*above, name))
    return found


def _make_whole(data: dict[str, Any], path: tuple[str, ...]) -> None:
    *above, name = path
    for part in above:
        inner = data.get(part)
        if not isinstance(inner, dict):
            return
        data = inner
    if isinstance(data.get(name), float):
        data[name] = int(data[name])
