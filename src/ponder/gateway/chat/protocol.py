"""The body of a chat completion: its schema, and what it means in ponder's terms.

Source: OpenAI's API reference, chat completions. Differs: `developer` messages are taken as `system`; audio and file
parts are refused; images come as `data:` addresses, since an address that somebody has to fetch would let a client
reach into the network of the server that fetches it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from ponder.core.task import Image, Message, Role
from ponder.gateway.errors import ApiError
from ponder.gateway.schema import USAGE, checker, nullable
from ponder.gateway.wishes import COMMON

__all__ = ["CHUNK", "REQUEST", "RESPONSE", "check", "messages_of", "schema_of"]

_TEXT_PART = {
    "type": "object",
    "properties": {"type": {"enum": ["text"]}, "text": {"type": "string"}},
    "required": ["type", "text"],
}
_IMAGE_PART = {
    "type": "object",
    "properties": {
        "type": {"enum": ["image_url"]},
        "image_url": {
            "type": "object",
            "properties": {"url": {"type": "string", "minLength": 1}, "detail": nullable({"type": "string"})},
            "required": ["url"],
        },
    },
    "required": ["type", "image_url"],
}
_REFUSAL_PART = {
    "type": "object",
    "properties": {"type": {"enum": ["refusal"]}, "refusal": {"type": "string"}},
    "required": ["type", "refusal"],
}
_TOOL_CALL = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "type": {"type": "string"},
        "function": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "arguments": {"type": "string"}},
        },
    },
}


def _content(*parts: dict[str, Any], least: int = 1) -> dict[str, Any]:
    listed = {"type": "array", "items": {"anyOf": list(parts)}, "minItems": least}
    return {"anyOf": [{"type": "string"}, listed]}


def _message(role: list[str], content: dict[str, Any], needed: list[str], **more: Any) -> dict[str, Any]:
    properties = {"role": {"enum": role}, "content": content, "name": nullable({"type": "string"}), **more}
    return {"type": "object", "properties": properties, "required": ["role", *needed]}


_MESSAGE = {
    "anyOf": [
        _message(["system", "developer"], _content(_TEXT_PART), ["content"]),
        _message(["user"], _content(_TEXT_PART, _IMAGE_PART), ["content"]),
        _message(
            ["assistant"],
            {"anyOf": [_content(_TEXT_PART, _REFUSAL_PART), {"type": "null"}]},
            [],
            tool_calls=nullable({"type": "array", "items": _TOOL_CALL}),
            refusal=nullable({"type": "string"}),
        ),
        _message(["tool"], _content(_TEXT_PART), ["content", "tool_call_id"], tool_call_id={"type": "string"}),
    ]
}

REQUEST: dict[str, Any] = {
    "type": "object",
    "properties": {
        **COMMON,
        "messages": {"type": "array", "items": _MESSAGE, "minItems": 1},
        "max_completion_tokens": nullable({"type": "integer", "minimum": 1, "maximum": 2**31}),
        "logprobs": nullable({"type": "boolean"}),
        "top_logprobs": nullable({"type": "integer", "minimum": 0, "maximum": 20}),
        "tools": {
            "type": ["array", "null"],
            "maxItems": 128,
            "items": {
                "type": "object",
                "properties": {"type": {"type": "string"}, "function": {"type": "object"}},
                "required": ["type"],
            },
        },
        "tool_choice": {"type": ["string", "object", "null"]},
        "parallel_tool_calls": nullable({"type": "boolean"}),
        "response_format": {
            "anyOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "properties": {"type": {"enum": ["text", "json_object"]}},
                    "required": ["type"],
                },
                {
                    "type": "object",
                    "properties": {
                        "type": {"enum": ["json_schema"]},
                        "json_schema": {
                            "type": "object",
                            "properties": {
                                "name": {"type": "string"},
                                "schema": {"type": "object"},
                                "strict": nullable({"type": "boolean"}),
                            },
                            "required": ["name"],
                        },
                    },
                    "required": ["type", "json_schema"],
                },
            ]
        },
    },
    "required": ["model", "messages"],
}

_LOGPROBS = {"type": ["object", "null"], "properties": {"content": {"type": ["array", "null"]}}}
RESPONSE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "object": {"enum": ["chat.completion"]},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "index": {"type": "integer"},
                    "message": {
                        "type": "object",
                        "properties": {
                            "role": {"enum": ["assistant"]},
                            "content": {"type": ["string", "null"]},
                            "refusal": {"type": ["string", "null"]},
                            "reasoning_content": {"type": "string"},
                            "tool_calls": {"type": "array", "items": {"type": "object"}},
                        },
                        "required": ["role", "content", "refusal"],
                    },
                    "logprobs": _LOGPROBS,
                    "finish_reason": {"enum": ["stop", "length", "tool_calls", "content_filter"]},
                },
                "required": ["index", "message", "logprobs", "finish_reason"],
            },
        },
        "usage": USAGE,
        "ponder": {"type": "object", "description": "Method, why it stopped, seed, and the trace's id."},
    },
    "required": ["id", "object", "created", "model", "choices", "usage"],
}
CHUNK: dict[str, Any] = {
    "type": "object",
    "description": "One server-sent event; `[DONE]` ends the stream.",
    "properties": {
        "id": {"type": "string"},
        "object": {"enum": ["chat.completion.chunk"]},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {"type": "array", "items": {"type": "object"}},
        "usage": {"anyOf": [USAGE, {"type": "null"}]},
        "ponder": {"type": "object"},
    },
    "required": ["id", "object", "created", "model", "choices"],
}

check = checker(REQUEST)


def messages_of(body: Mapping[str, Any], max_image_bytes: int) -> tuple[Message, ...]:
    """Return the chat.

    Raises:
        ApiError: an image that has to be fetched, is too large, or cannot be read.
    """
    return tuple(_message_of(data, place, max_image_bytes) for place, data in enumerate(body["messages"]))


def schema_of(body: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Return the JSON schema that answers must follow, and the whole response format; None for plain text."""
    wanted = body.get("response_format")
    if not wanted or wanted["type"] == "text":
        return None, None
    if wanted["type"] == "json_object":
        return None, wanted
    schema = wanted["json_schema"].get("schema")
    return ({"type": "object"} if schema is None else schema), wanted


def _message_of(data: Mapping[str, Any], place: int, max_image_bytes: int) -> Message:
    role: Role = "system" if data["role"] == "developer" else data["role"]
    content = data.get("content")
    if isinstance(content, str) and len(data) == 2:
        return Message(role, content)
    texts: list[str] = []
    images: list[Image] = []
    ordinary = not data.get("name")  # whether the fields of `Message` hold all of it
    refusal = data.get("refusal")
    if isinstance(content, str):
        texts.append(content)
    for at, part in enumerate(content if isinstance(content, list) else ()):
        match part["type"]:
            case "text":
                texts.append(part["text"])
            case "refusal":
                refusal = part["refusal"]
            case _:
                images.append(_image(part["image_url"]["url"], f"messages.{place}.content.{at}", max_image_bytes))
                ordinary = False  # its detail, and its place among the texts
    calls = data.get("tool_calls") or ()
    return Message(
        role,
        "\n".join(texts),
        images=tuple(images),
        tool_calls=tuple(calls),
        tool_call_id=data.get("tool_call_id"),
        refusal=refusal,
        raw=None if ordinary and len(texts) <= 1 else {**data, "role": role},
    )


def _image(url: str, where: str, most: int) -> Image:
    if not url.startswith("data:"):
        raise ApiError(
            "images are taken as data: addresses; this gateway neither fetches addresses nor has them fetched",
            code="image_url_not_allowed",
            param=where,
        )
    kind, comma, data = url[5:].partition(",")
    mime, semicolon, coding = kind.partition(";")
    if not comma or coding != "base64" or not semicolon or not mime.startswith("image/"):
        raise ApiError("an image is written data:image/TYPE;base64,DATA", param=where)
    if len(data) * 3 // 4 > most + 2:
        raise ApiError(f"an image is longer than {most} bytes", status=413, code="image_too_large", param=where)
    try:
        decoded = b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ApiError("an image is no base64", param=where) from None
    if not decoded:
        raise ApiError("an image is empty", param=where)
    return Image(data=decoded, mime=mime)
