"""A scripted model that scores: an answer is likely where the prefix holds key words; it keeps the prompts it read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from ponder import Completion, Message, ScriptedModel
from ponder.core.access import Access
from ponder.core.model import Request, Tokens
from ponder.core.usage import Usage

__all__ = ["KeyWords"]


@dataclass(kw_only=True)
class KeyWords(ScriptedModel):
    """The probability of each answer token is `likely` where every key stands in the prefix, else `unlikely`."""

    access: frozenset[Access] = field(
        default_factory=lambda: frozenset({Access.TEXT, Access.PREFIX, Access.SCORE, Access.SEED})
    )
    keys: tuple[str, ...] = ("KEY",)
    likely: float = 0.9
    unlikely: float = 0.1
    scored: list[str] = field(default_factory=list)
    breaks_after: int | None = None
    error: Exception | None = None
    read: list[list[str]] = field(default_factory=list)

    async def score(self, request: Request, text: str) -> Completion:
        if self.error is not None and len(self.scored) >= (self.breaks_after or 0):
            raise self.error
        self.scored.append(request.prefix)
        words = [word for message in request.messages for word in message.text.split()] + request.prefix.split()
        cached = max((_common(words, known) for known in self.read), default=0)
        self.read.append(words)
        there = all(key in request.prefix for key in self.keys)
        logprob = math.log(self.likely if there else self.unlikely)
        tokens = text.split()
        usage = Usage(calls=1, prompt_tokens=len(words) + len(tokens))
        sent: Any = Usage(calls=1, prompt_tokens=usage.prompt_tokens, cached_tokens=min(cached, len(words)))
        return Completion(
            message=Message("assistant", text),
            finish="stop",
            usage=usage,
            sent=sent,
            tokens=Tokens(ids=tuple(range(len(tokens))), texts=tuple(tokens), logprobs=(logprob,) * len(tokens)),
        )


def _common(left: list[str], right: list[str]) -> int:
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        count += 1
    return count
