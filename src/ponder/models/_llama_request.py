"""The embedded server's request: every field of its sampler, and the refusal of what it cannot do.

Source: the server's own list of settings, as `/props` shows it. Hidden defaults (top-k 40, min-p 0.05) would change the
law that is sampled, so all are sent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ponder.core.errors import BadInput, RequestRefused
from ponder.core.model import Completion, Request, Sampling

__all__ = ["body", "check", "checked", "encodable"]


def check(request: Request) -> None:
    """Refuse what the back-end cannot do.

    Raises:
        RequestRefused: naming it.
    """
    if request.tools:
        raise RequestRefused("the embedded model does not call tools")
    if request.certainty:
        raise RequestRefused("the embedded model does not give the whole next-token law; use the transformers back-end")
    if request.json_schema is not None and request.prefix:
        raise RequestRefused("a schema constrains whole answers: it cannot be used with a prefix")
    for stop in request.sampling.stop:
        encodable(stop)


def encodable(text: str) -> str:
    """Return `text` if it is proper Unicode.

    Raises:
        BadInput: it holds half of a surrogate pair, as text decoded from broken bytes does.
    """
    try:
        text.encode()
    except UnicodeEncodeError as err:
        raise BadInput(f"the text holds {text[err.start]!r} at position {err.start}, which is no character") from err
    return text


def body(request: Request, ids: Sequence[int], *, group: range, room: int, prompt_cache: bool) -> dict[str, Any]:
    """Return the body that asks for the siblings of `group` in the room that the context leaves."""
    law = request.sampling
    out: dict[str, Any] = {
        "prompt": list(ids),
        "n": len(group),
        # Sibling i gets this seed plus i. Below 2**31 it never becomes 0xFFFFFFFF, which asks for a random one.
        "seed": (request.seed + group.start) % 2**31,
        "cache_prompt": prompt_cache,
        "max_tokens": min(law.max_tokens, room),
        "stop": list(law.stop),
        "stream": True,
        "stream_options": {"include_usage": True},
        "timings_per_token": True,  # tells how many tokens there are, those without a chunk of their own included
        "return_progress": True,  # chunks while the prompt is read, so that it can be cancelled
        "logprobs": max(1, request.logprobs or 0),  # costs nothing, and gives the token ids
    }
    if request.json_schema is not None:
        out["json_schema"] = dict(request.json_schema)
    # Penalties read the whole text, as in other back-ends; the default is its last 64 tokens.
    return out | _sampler(law) | {"repeat_last_n": len(ids) + room}


def _sampler(law: Sampling) -> dict[str, Any]:
    """Return every field of the server's sampler: those that ponder does not know are switched off."""
    return {
        "samplers": ["penalties", "temperature", "top_k", "top_p", "min_p"],
        "temperature": law.temperature,
        "top_k": law.top_k,
        "top_p": law.top_p,
        "min_p": law.min_p,
        "min_keep": 0,
        "repeat_penalty": law.repeat_penalty,
        "presence_penalty": law.presence_penalty,
        "frequency_penalty": law.frequency_penalty,
        "typical_p": 1.0,
        "top_n_sigma": -1.0,
        "xtc_probability": 0.0,
        "dry_multiplier": 0.0,
        "dynatemp_range": 0.0,
        "mirostat": 0,
        "adaptive_target": -1.0,
        "logit_bias": [],
        "ignore_eos": False,
        "post_sampling_probs": False,
    }


def checked(completion: Completion, request: Request) -> Completion:
    """Return a completion unless it shows that the server ignored the schema.

    Raises:
        RequestRefused: a finished answer is no JSON: a schema that llama.cpp does not understand is left out silently.
    """
    if request.json_schema is not None and completion.finish == "stop" and not request.sampling.stop:
        try:
            json.loads(completion.text)
        except ValueError as err:
            raise RequestRefused("llama.cpp does not understand this JSON schema, and ignored it") from err
    return completion
