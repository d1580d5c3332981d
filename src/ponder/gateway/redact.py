"""A record without its texts: what the privacy switch of traces keeps.

Source: our own. It names what may stay instead of what must go: numbers, truth values and missing values, words under
the few keys whose values are words of ours (a method's name, a finish reason), and the names of keys that belong to
our records. Any other text becomes "<text>", and any other key of a table (votes are tables by answer) its number. So
a field that a method adds later is hidden until it is named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["HIDDEN", "without_texts"]

HIDDEN = "<text>"
# Keys whose values are words of this package or of the settings, never of a prompt or a model.
# fmt: off
_WORDS = frozenset({
    "finish", "id", "interrupted", "kind", "method", "model", "phase", "role", "stage", "stopped", "trace_id",
    "unit", "upstream", "verifier",
})
# Tables whose keys are names of roles or verifiers.
_BY_NAME = frozenset({"usage", "paid", "scores"})
_KEYS = _WORDS | _BY_NAME | frozenset({
    "answer", "budget", "cached_tokens", "calls", "candidates", "certainty", "chosen", "completion_tokens",
    "content", "created", "data", "detail", "deterministic", "error", "events", "exact", "flops", "index",
    "max_tokens", "message", "messages", "n", "params", "parent", "path", "ponder", "prompt_tokens",
    "reasoning", "request", "result", "sampling", "schema", "score", "seconds", "seed", "settings", "status",
    "steps", "stop", "stored", "stream", "t", "temperature", "text", "thinking_tokens", "tokens", "tools",
    "top_k", "top_p", "usd", "v", "value",
})
# fmt: on


def without_texts(value: Any, *, under: str = "", top: bool = True) -> Any:
    """Return a JSON value with the texts taken out; shapes, counts and numbers stay.

    Args:
        value: JSON value.
        under: key that it stands under.
        top: whether the keys of `value` itself are names from our own code and may stay.
    """
    if isinstance(value, str):
        return value if under in _WORDS else HIDDEN
    if isinstance(value, Mapping):
        out = {}
        for place, (key, item) in enumerate(value.items()):
            named = top or key in _KEYS or under in _BY_NAME
            # A table under a hidden key is a table of somebody else's words, whatever they look like.
            name = key if named else f"#{place}"
            out[name] = without_texts(item, under=key if named else "", top=False)
        return out
    if isinstance(value, list | tuple):
        return [without_texts(item, under=under, top=False) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return HIDDEN
