"""The events of a streamed chat completion.

Source: OpenAI's API reference, chat completion chunks. What one event has of every other is written once, since this
runs for each token.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ponder.core.candidate import Candidate
from ponder.gateway.chat.serving import finish_of, logprobs_json
from ponder.gateway.errors import ApiError
from ponder.gateway.exchange import dumps
from ponder.gateway.service import Outcome, usage_json
from ponder.gateway.streaming import Piece, remainder

__all__ = ["ChatChunks"]

_BEFORE = b',"choices":[{"index":'
_BETWEEN = b',"delta":{"content":'
_AFTER = b'},"logprobs":null,"finish_reason":null}]}\n\n'


class ChatChunks:
    """Writes the events of one stream."""

    def __init__(self, model: str, *, usage: bool, logprobs: bool) -> None:
        self._model, self._usage, self._logprobs = model, usage, logprobs
        self._created = int(time.time())
        self._head = b""
        self._introduced: set[int] = set()

    def begin(self, trace_id: str) -> None:
        """The run has this id."""
        if not self._head:
            opening = {
                "id": f"chatcmpl-{trace_id}",
                "object": "chat.completion.chunk",
                "created": self._created,
                "model": self._model,
            }
            self._head = b"data: " + dumps(opening)[:-1]

    def piece(self, piece: Piece) -> bytes:
        """Return the event for a part of a text."""
        if piece.choice not in self._introduced:
            return self._delta(piece.choice, {"content": piece.text})
        place = b"%d" % piece.choice
        text = dumps(piece.text)
        return b"".join((self._head, _BEFORE, place, _BETWEEN, text, _AFTER))

    def thought(self, text: str) -> bytes:
        """Return the event for progress shown as reasoning."""
        return self._delta(0, {"reasoning_content": text})

    def rest(self, outcome: Outcome, sent: Mapping[int, str]) -> bytes:
        """Return the events for everything that was not sent."""
        out = [self._end(place, candidate, sent.get(place, "")) for place, candidate in self._placed(outcome)]
        if self._usage:
            out.append(self._event({"choices": [], "usage": usage_json(outcome.paid), "ponder": outcome.about()}))
        return b"".join(out)

    def cut(self, sent: Mapping[int, str], err: ApiError) -> bytes:
        """Return the events that end texts which cannot be completed."""
        about = {"stopped": "endpoint", "detail": err.message}
        out = []
        for choice in sent:
            ended = {"index": choice, "delta": {}, "logprobs": None, "finish_reason": "length"}
            out.append(self._event({"choices": [ended], "ponder": about}))
        return b"".join(out)

    def _placed(self, outcome: Outcome) -> list[tuple[int, Candidate]]:
        if outcome.ask.plan.single:  # choices are samples, and a failed one may be missing among them
            return [(candidate.index, candidate) for candidate in outcome.choices]
        return list(enumerate(outcome.choices))

    def _end(self, choice: int, candidate: Candidate, sent: str) -> bytes:
        out = []
        message = candidate.message
        assert message is not None
        if message.reasoning:
            out.append(self._delta(choice, {"reasoning_content": message.reasoning}))
        if self._logprobs and not sent and (listed := logprobs_json(candidate)) is not None:
            for token in listed["content"]:
                out.append(self._delta(choice, {"content": token["token"]}, {"content": [token], "refusal": None}))
                sent += token["token"]
        if text := remainder(candidate, sent):
            out.append(self._delta(choice, {"content": text}))
        if message.refusal is not None:
            out.append(self._delta(choice, {"refusal": message.refusal}))
        if message.tool_calls:
            calls = [{"index": place, **call} for place, call in enumerate(message.tool_calls)]
            out.append(self._delta(choice, {"tool_calls": calls}))
        if choice not in self._introduced:
            out.append(self._delta(choice, {"content": ""}))
        end = {"index": choice, "delta": {}, "logprobs": None, "finish_reason": finish_of(candidate)}
        out.append(self._event({"choices": [end]}))
        return b"".join(out)

    def _delta(self, choice: int, delta: dict[str, Any], logprobs: Any = None) -> bytes:
        if choice not in self._introduced:
            self._introduced.add(choice)
            delta = {"role": "assistant", **delta}
        made = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": None}
        return self._event({"choices": [made]})

    def _event(self, more: dict[str, Any]) -> bytes:
        return self._head + b"," + dumps(more)[1:] + b"\n\n"
