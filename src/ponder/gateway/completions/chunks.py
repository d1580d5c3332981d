"""The events of a streamed raw completion.

Source: OpenAI's API reference, completions (legacy).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ponder.gateway.completions.serving import finish_of, logprobs_json
from ponder.gateway.errors import ApiError
from ponder.gateway.exchange import dumps
from ponder.gateway.pieces import Piece, Sent, remainder
from ponder.gateway.service import Outcome, usage_json
from ponder.models.logprobs import Entry

__all__ = ["TextChunks"]


class TextChunks:
    """Writes the events of one stream of raw completions."""

    def __init__(self, model: str, *, usage: bool, logprobs: int | None = None, echo: str = "") -> None:
        """Write for a client.

        Args:
            model: as the client spelled it.
            usage: whether it wants the usage at the end.
            logprobs: so many alternatives to each token with its log-probability; None for no log-probabilities.
            echo: comes before each choice.
        """
        self._model, self._usage, self._logprobs, self._echo = model, usage, logprobs, echo
        self._created = int(time.time())
        self._head = b""
        self._begun: set[int] = set()
        self._offsets: dict[int, int] = {}  # characters of the tokens that were listed, by choice

    def begin(self, trace_id: str) -> None:
        """The run has this id."""
        if not self._head:
            opening = {
                "id": f"cmpl-{trace_id}",
                "object": "text_completion",
                "created": self._created,
                "model": self._model,
            }
            self._head = b"data: " + dumps(opening)[:-1]

    def piece(self, piece: Piece) -> bytes:
        """Return the event for a part of a text; nothing else has a place here."""
        tokens = (piece.more or {}).get("tokens")
        if not piece.text and not tokens:
            return b""
        return self._text(piece.choice, piece.text, None, None if tokens is None else self._listed(piece, tokens))

    def thought(self, text: str) -> bytes:
        """Raw completions have no place for it."""
        return b""

    def rest(self, outcome: Outcome, sent: Mapping[int, Sent]) -> bytes:
        """Return the events for everything that was not sent."""
        out = []
        for place, candidate in enumerate(outcome.choices):
            choice = candidate.index if outcome.ask.plan.single else place
            before = sent.get(choice, Sent())
            logprobs = None if self._logprobs is None else logprobs_json(candidate, before.logprobs)
            if logprobs is not None and before.logprobs and not logprobs["tokens"]:
                logprobs = None
            left = remainder(candidate.text, before.text)
            out.append(self._text(choice, left, finish_of(candidate), logprobs))
        if self._usage:
            more = {"choices": [], "usage": usage_json(outcome.paid), "ponder": outcome.about()}
            out.append(self._head + b"," + dumps(more)[1:] + b"\n\n")
        return b"".join(out)

    def _listed(self, piece: Piece, tokens: Sequence[Entry]) -> dict[str, Any]:
        texts = [token.data.decode("utf-8", "replace") for token in tokens]
        offsets = []
        for text in texts:
            offsets.append(self._offsets.get(piece.choice, 0))
            self._offsets[piece.choice] = offsets[-1] + len(text)
        most = self._logprobs or 0
        told = most > 0 and all(token.top is not None for token in tokens)
        return {
            "tokens": texts,
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [{text: p for _, text, p in (t.top or ())[:most]} for t in tokens] if told else None,
            "text_offset": offsets,
        }

    def cut(self, sent: Mapping[int, Sent], err: ApiError) -> bytes:
        """Return the events that end texts which cannot be completed."""
        return b"".join(self._text(choice, "", "length") for choice in sent)

    def _text(self, choice: int, text: str, finish: str | None, logprobs: Any = None) -> bytes:
        if choice not in self._begun:
            self._begun.add(choice)
            text = self._echo + text
        made = {"index": choice, "text": text, "logprobs": logprobs, "finish_reason": finish}
        return self._head + b"," + dumps({"choices": [made]})[1:] + b"\n\n"
