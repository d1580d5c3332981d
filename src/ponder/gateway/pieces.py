"""Parts of an answer on their way to a client, and what of each choice has been sent.

Source: our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["Piece", "Sent", "remainder"]


class Piece(NamedTuple):
    """A part of a choice: its text, and what came with it as in `ponder.models._streams.Delta`."""

    choice: int
    text: str
    more: Mapping[str, Any] | None = None


@dataclass
class Sent:
    """What of a choice was taken to be sent.

    Attributes:
        text, reasoning, refusal: of the message.
        calls: of each begun tool call, by its place among them, its arguments (its input, if it is a custom one).
        logprobs: tokens whose log-probabilities were sent.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: dict[int, str] = field(default_factory=dict)
    logprobs: int = 0

    def add(self, piece: Piece) -> None:
        """Count a part as sent."""
        self.text += piece.text
        if piece.more is None:
            return
        self.reasoning += piece.more.get("reasoning", "")
        self.refusal += piece.more.get("refusal", "")
        self.logprobs += len(piece.more.get("tokens", ()))
        for part in piece.more.get("tool_calls", ()):
            made = part.get("custom") or part.get("function") or {}
            said = made.get("arguments") or made.get("input")
            place = part["index"]
            self.calls[place] = self.calls.get(place, "") + (said if isinstance(said, str) else "")


def remainder(whole: str | None, sent: str) -> str:
    """Return what is left to send of a text of which `sent` was sent; nothing where they differ."""
    return whole[len(sent) :] if whole is not None and whole.startswith(sent) else ""
