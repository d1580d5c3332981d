"""What chat and raw completions have in common: the law, the object `ponder`, seeds, stops.

Source: OpenAI's API reference for names, ranges and defaults (temperature 1, top_p 1); `top_k`, `min_p` and
`repetition_penalty` are spelled as vLLM and SGLang do. Null means "not given" throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ponder.core import registry
from ponder.core.budget import Budget
from ponder.core.model import Sampling
from ponder.gateway.errors import ApiError, near
from ponder.gateway.ids import fresh_seed
from ponder.gateway.schema import PONDER, nullable

__all__ = [
    "COMMON",
    "MAX_TOKENS",
    "PASSED",
    "answer_of",
    "budget_of",
    "deadline_of",
    "extra_of",
    "sampling_of",
    "seed_of",
]

# Most tokens of an answer for which the client names no limit.
MAX_TOKENS = 1024
# Fields that mean something to the model's server alone and are handed through.
PASSED = (
    "tool_choice",
    "parallel_tool_calls",
    "logit_bias",
    "user",
    "reasoning_effort",
    "verbosity",
    "service_tier",
    "prompt_cache_key",
    "safety_identifier",
    "chat_template_kwargs",
)

_STOP = {"type": "string", "minLength": 1}
COMMON: dict[str, Any] = {
    "model": {"type": "string", "minLength": 1, "description": "A model, or METHOD@MODEL."},
    "temperature": nullable({"type": "number", "minimum": 0, "maximum": 2}),
    "top_p": nullable({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
    "top_k": nullable({"type": "integer", "minimum": -1, "maximum": 1_000_000}),
    "min_p": nullable({"type": "number", "minimum": 0, "exclusiveMaximum": 1}),
    "repetition_penalty": nullable({"type": "number", "exclusiveMinimum": 0, "maximum": 10}),
    "presence_penalty": nullable({"type": "number", "minimum": -2, "maximum": 2}),
    "frequency_penalty": nullable({"type": "number", "minimum": -2, "maximum": 2}),
    "max_tokens": nullable({"type": "integer", "minimum": 1, "maximum": 2**31}),
    "n": nullable({"type": "integer", "minimum": 1, "maximum": 128}),
    "seed": nullable({"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}),
    "stop": {"anyOf": [_STOP, {"type": "array", "items": _STOP, "maxItems": 16}, {"type": "null"}]},
    "stream": nullable({"type": "boolean"}),
    "stream_options": {
        "type": ["object", "null"],
        "properties": {"include_usage": nullable({"type": "boolean"})},
    },
    "user": nullable({"type": "string"}),
    "logit_bias": {
        "type": ["object", "null"],
        "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
    },
    "ponder": PONDER,
}


def sampling_of(body: Mapping[str, Any], *caps: str) -> Sampling:
    """Return the law that a request asks for; of the fields `caps` the first given one limits its tokens."""
    stop = body.get("stop") or ()
    top_k = body.get("top_k")
    cap = next((body[name] for name in caps if body.get(name) is not None), None)
    return Sampling(
        temperature=_given(body, "temperature", 1.0),
        top_p=_given(body, "top_p", 1.0),
        top_k=0 if top_k is None or top_k < 0 else top_k,
        min_p=_given(body, "min_p", 0.0),
        repeat_penalty=_given(body, "repetition_penalty", 1.0),
        presence_penalty=_given(body, "presence_penalty", 0.0),
        frequency_penalty=_given(body, "frequency_penalty", 0.0),
        max_tokens=MAX_TOKENS if cap is None else cap,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
    )


def _given(body: Mapping[str, Any], name: str, default: float) -> float:
    value = body.get(name)
    return default if value is None else value


def budget_of(body: Mapping[str, Any]) -> Budget:
    """Return the client's own limits.

    Raises:
        ApiError: they contradict each other.
    """
    given = (body.get("ponder") or {}).get("budget")
    if not given:
        return _NO_BUDGET
    try:
        return Budget(**given)
    except ValueError as err:
        raise ApiError(str(err), param="ponder.budget") from None


_NO_BUDGET = Budget()


def answer_of(body: Mapping[str, Any]) -> str:
    """Return the type of the answer.

    Raises:
        ApiError: there is none of that name.
    """
    name: str = (body.get("ponder") or {}).get("answer") or "text"
    if name != "text" and name not in (known := registry.answer_types.names()):
        message = f"no answer type is called {name[:100]!r}. {near(name, known)}"
        raise ApiError(message, code="unknown_name", param="ponder.answer")
    return name


def deadline_of(body: Mapping[str, Any], most: float) -> float | None:
    """Return the seconds until which an answer is wanted, at most `most`, or None."""
    wanted = (body.get("ponder") or {}).get("deadline_ms")
    return None if wanted is None else min(wanted / 1000.0, most)


def seed_of(body: Mapping[str, Any]) -> tuple[int, bool]:
    """Return the seed of the run, and whether the client gave it; without one each request is drawn afresh."""
    seed = body.get("seed")
    if seed is not None:
        return seed, True
    return fresh_seed(), False


def extra_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are for the model's server alone."""
    return {name: body[name] for name in PASSED if body.get(name) is not None}
