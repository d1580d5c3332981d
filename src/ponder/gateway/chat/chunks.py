"""The events of a streamed chat completion.

Source: OpenAI's API reference, chat completion chunks. What one event has of every other is written once, since this
runs for each token.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ponder.core.candidate import Candidate
from ponder.gateway.chat.serving import finish_of, logprobs_json
from ponder.gateway.errors import ApiError
from ponder.gateway.exchange import dumps
from ponder.gateway.pieces import Piece, Sent, remainder
from ponder.gateway.service import Outcome, usage_json
from ponder.models.logprobs import Entry

__all__ = ["ChatChunks"]

_BEFORE = b',"choices":[{"index":'
_BETWEEN = b',"delta":{"content":'
_AFTER = b'},"logprobs":null,"finish_reason":null}]}\n\n'


class ChatChunks:
    """Writes the events of one stream."""

    def __init__(self, model: str, *, usage: bool, logprobs: int | None = None) -> None:
        """Write for a client.

        Args:
            model: as the client spelled it.
            usage: whether it wants the usage at the end.
            logprobs: so many alternatives to each token with its log-probability; None for no log-probabilities.
        """
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
        """Return the event for a part of a choice."""
        if piece.choice in self._introduced and piece.more is None:
            return b"".join((self._head, _BEFORE, b"%d" % piece.choice, _BETWEEN, dumps(piece.text), _AFTER))
        more = piece.more or {}
        delta = {} if not piece.text and more else {"content": piece.text}
        if "reasoning" in more:
            delta["reasoning_content"] = more["reasoning"]
        for name in ("refusal", "tool_calls"):
            if name in more:
                delta[name] = more[name]
        tokens = more.get("tokens")
        return self._delta(piece.choice, delta, None if tokens is None else self._listed(tokens))

    def thought(self, text: str) -> bytes:
        """Return the event for progress shown as reasoning."""
        return self._delta(0, {"reasoning_content": text})

    def rest(self, outcome: Outcome, sent: Mapping[int, Sent]) -> bytes:
        """Return the events for everything that was not sent."""
        out = [self._end(place, candidate, sent.get(place, Sent())) for place, candidate in self._placed(outcome)]
        if self._usage:
            out.append(self._event({"choices": [], "usage": usage_json(outcome.paid), "ponder": outcome.about()}))
        return b"".join(out)

    def cut(self, sent: Mapping[int, Sent], err: ApiError) -> bytes:
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

    def _end(self, choice: int, candidate: Candidate, sent: Sent) -> bytes:
        out = []
        message = candidate.message
        assert message is not None
        if reasoning := remainder(message.reasoning, sent.reasoning):
            out.append(self._delta(choice, {"reasoning_content": reasoning}))
        text = remainder(message.text, sent.text)
        listed = logprobs_json(candidate) if self._logprobs is not None else None
        tokens = [] if listed is None else listed["content"][sent.logprobs :]
        if tokens and "".join(token["token"] for token in tokens) != text:
            # What they spell is not what is left to send: thinking, or a stop string.
            out.append(self._delta(choice, {"content": text}, {"content": tokens, "refusal": None}))
            text, tokens = "", []
        for token in tokens:
            out.append(self._delta(choice, {"content": token["token"]}, {"content": [token], "refusal": None}))
        if text and not tokens:
            out.append(self._delta(choice, {"content": text}))
        if refusal := remainder(message.refusal, sent.refusal):
            out.append(self._delta(choice, {"refusal": refusal}))
        if calls := _calls_left(message.tool_calls, sent.calls):
            out.append(self._delta(choice, {"tool_calls": calls}))
        if choice not in self._introduced:
            out.append(self._delta(choice, {"content": ""}))
        end = {"index": choice, "delta": {}, "logprobs": None, "finish_reason": finish_of(candidate)}
        out.append(self._event({"choices": [end]}))
        return b"".join(out)

    def _listed(self, tokens: Sequence[Entry]) -> dict[str, Any]:
        return {"content": [_entry_json(token, self._logprobs or 0) for token in tokens], "refusal": None}

    def _delta(self, choice: int, delta: dict[str, Any], logprobs: Any = None) -> bytes:
        if choice not in self._introduced:
            self._introduced.add(choice)
            delta = {"role": "assistant", **delta}
        made = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": None}
        return self._event({"choices": [made]})

    def _event(self, more: dict[str, Any]) -> bytes:
        return self._head + b"," + dumps(more)[1:] + b"\n\n"


def _entry_json(entry: Entry, most: int) -> dict[str, Any]:
    """Return a token with its log-probability and at most so many alternatives."""
    top = (entry.top or ())[:most]
    return {
        "token": entry.data.decode("utf-8", "replace"),
        "logprob": entry.logprob,
        "bytes": list(entry.data),
        "top_logprobs": [
            {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", "replace"))}
            for _, text, logprob in top
        ],
    }


def _calls_left(calls: Sequence[Mapping[str, Any]], sent: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return what is left of tool calls of which the arguments `sent` were sent, by their place."""
    left: list[dict[str, Any]] = []
    for place, call in enumerate(calls):
        if place not in sent:
            left.append({"index": place, **call})
            continue
        kind, name = ("custom", "input") if "custom" in call else ("function", "arguments")
        if more := remainder(call[kind].get(name), sent[place]):
            left.append({"index": place, kind: {name: more}})
    return left
