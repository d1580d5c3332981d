"""What a run cost: calls and tokens, and money and FLOPs where the model's prices and shape are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

__all__ = ["Usage", "add_up"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Cost of one call or of many; adds up with `+`.

    Attributes:
        calls: completions asked for (a request for n choices counts n); in what was paid, attempts.
        prompt_tokens: tokens read, cached ones included.
        cached_tokens: those of `prompt_tokens` that a prefix cache served.
        completion_tokens: tokens written, thinking and end-of-text tokens included.
        thinking_tokens: those of `completion_tokens` that are reasoning, not answer.
        usd: money, or None where no price is known.
        flops: floating-point operations, or None where the model's shape is not known.
        exact: False when a count had to be an upper bound (a cancelled call without a token count).
    """

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    thinking_tokens: int = 0
    usd: float | None = None
    flops: float | None = None
    exact: bool = True

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together (of one model: never add those of two models)."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            thinking_tokens=self.thinking_tokens + other.thinking_tokens,
            usd=_add(self, other, "usd"),
            flops=_add(self, other, "flops"),
            exact=self.exact and other.exact,
        )

    def priced(self, *, usd: float | None, flops: float | None) -> Usage:
        """Return the same counts with money and FLOPs (for each call of a run: `replace` takes three times as long)."""
        return Usage(
            calls=self.calls,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            completion_tokens=self.completion_tokens,
            thinking_tokens=self.thinking_tokens,
            usd=usd,
            flops=flops,
            exact=self.exact,
        )

    def inexact(self) -> Usage:
        """Return the same counts, marked as an upper bound."""
        return replace(self, exact=False)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; unknown money and FLOPs are null."""
        return {name: getattr(self, name) for name in _FIELDS}  # asdict copies deeply: ten times as slow


_FIELDS = tuple(item.name for item in fields(Usage))


def add_up(parts: Iterable[Mapping[str, Usage]]) -> dict[str, Usage]:
    """Return the sum by role."""
    out: dict[str, Usage] = {}
    for part in parts:
        for role, used in part.items():
            out[role] = out.get(role, Usage()) + used
    return out


def _add(left: Usage, right: Usage, name: str) -> float | None:
    """Unknown stays unknown, except that a side without any call contributes nothing."""
    a, b = getattr(left, name), getattr(right, name)
    if a is None:
        return b if left.calls == 0 else None
    if b is None:
        return a if right.calls == 0 else None
    return float(a + b)
