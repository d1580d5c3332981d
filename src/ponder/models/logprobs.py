"""Log-probabilities as servers write them: those of chat completions and those of raw ones.

Source: OpenAI's API reference; vLLM and llama.cpp add ids and bytes of tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Entry", "read_logprobs"]


class Entry(NamedTuple):
    """A token and its log-probability as a server tells it; `top` as in `Tokens`, or None."""

    id: int
    data: bytes
    logprob: float
    top: tuple[tuple[int, str, float], ...] | None


def read_logprobs(logprobs: Mapping[str, Any]) -> list[Entry] | None:
    """Return the tokens of a `logprobs` object, chat's or raw completions' form; None where they cannot be read."""
    try:
        return _entries(logprobs)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return None  # unreadable log-probabilities are missing, not made up


def _entries(logprobs: Mapping[str, Any]) -> list[Entry]:
    if isinstance(logprobs.get("content"), list):
        return [
            Entry(
                id=entry.get("id", -1),
                data=bytes(entry["bytes"]) if entry.get("bytes") is not None else entry["token"].encode(),
                logprob=_logprob(entry["logprob"]),
                top=_ranked((e.get("id", -1), e["token"], _logprob(e["logprob"])) for e in entry["top_logprobs"])
                if entry.get("top_logprobs")
                else None,
            )
            for entry in logprobs["content"]
        ]
    texts = logprobs.get("tokens") or []
    tops = logprobs.get("top_logprobs") or [None] * len(texts)
    return [
        Entry(
            id=-1,
            data=text.encode(),
            logprob=_logprob(value),
            top=_ranked((-1, token, _logprob(v)) for token, v in top.items()) if top else None,
        )
        for text, value, top in zip(texts, logprobs["token_logprobs"], tops, strict=True)
    ]


def _ranked(tokens: Any) -> tuple[tuple[int, str, float], ...]:
    return tuple(sorted(tokens, key=lambda entry: -entry[2]))


def _logprob(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a log-probability is not finite")
    return min(number, 0.0)  # rounding can give 1e-8
