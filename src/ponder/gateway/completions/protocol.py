"""The body of a raw completion: its schema, and what it means in ponder's terms.

Source: OpenAI's API reference, completions (legacy). Differs: `suffix` and `best_of` are refused: a choice among
several answers is what `best_of_n@MODEL` is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ponder.gateway.errors import ApiError
from ponder.gateway.schema import USAGE, checker, nullable
from ponder.gateway.wishes import COMMON

__all__ = ["CHUNK", "REQUEST", "RESPONSE", "check", "prompts_of"]

_IDS = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 2**31}, "minItems": 1}
REQUEST: dict[str, Any] = {
    "type": "object",
    "properties": {
        **COMMON,
        "prompt": {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
                _IDS,
                {"type": "array", "items": _IDS, "minItems": 1},
            ]
        },
        "logprobs": nullable({"type": "integer", "minimum": 0, "maximum": 20}),
        "echo": nullable({"type": "boolean"}),
        "suffix": {"type": "null"},
        "best_of": {"type": "null"},
    },
    "required": ["model", "prompt"],
}
_CHOICE = {
    "type": "object",
    "properties": {
        "index": {"type": "integer"},
        "text": {"type": "string"},
        "logprobs": {"type": ["object", "null"]},
        "finish_reason": {"enum": ["stop", "length", "content_filter", None]},
    },
    "required": ["index", "text", "logprobs", "finish_reason"],
}
RESPONSE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "object": {"enum": ["text_completion"]},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {"type": "array", "items": _CHOICE},
        "usage": USAGE,
        "ponder": {"type": "object"},
    },
    "required": ["id", "object", "created", "model", "choices", "usage"],
}
CHUNK: dict[str, Any] = {
    **RESPONSE,
    "description": "One server-sent event; `[DONE]` ends the stream.",
    "required": ["id", "object", "created", "model", "choices"],
}

check = checker(REQUEST)


def prompts_of(body: Mapping[str, Any], most: int) -> list[str | tuple[int, ...]]:
    """Return the prompts, each a text or token ids.

    Raises:
        ApiError: more than `most`.
    """
    prompt = body["prompt"]
    if isinstance(prompt, str):
        return [prompt]
    if isinstance(prompt[0], int | float):
        return [tuple(map(int, prompt))]
    if len(prompt) > most:
        raise ApiError(f"{len(prompt)} prompts are more than {most}", code="too_many", param="prompt")
    return [one if isinstance(one, str) else tuple(map(int, one)) for one in prompt]
