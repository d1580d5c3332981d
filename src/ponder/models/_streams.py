"""Puts the chunks of a streamed answer together again, and counts its tokens on the way.

Source: the public API references of OpenAI, vLLM, SGLang, llama.cpp and Ollama, and replies seen from llama.cpp.
Cost: where a server does not tell its running count, each chunk is taken for the tokens that it lists, else for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ponder.models._bills import whole
from ponder.models._http import DONE
from ponder.models._quirks import Kind
from ponder.models._replies import Reply, inner_error, string, unreadable

__all__ = ["Delta", "Detailed", "Stream"]


class Delta(NamedTuple):
    """What one stream event added to a sibling: `tokens` (0 where the event only ends it) that read `text`.

    `more` is what came beside the text: parts of "reasoning" and "refusal", a list of parts of "tool_calls" (each with
    its index), and the "logprobs" object of the event, all in the server's words; None where there was only text.
    """

    sibling: int
    text: str
    tokens: int
    more: Mapping[str, Any] | None = None


class Detailed(Protocol):
    """A sink that is told what a stream says beside the text; one that is not such a sink is told the tokens only."""

    def detail(self, index: int, text: str, count: int, more: Mapping[str, Any]) -> None:
        """Sibling `index` got `count` more tokens that read `text`, and `more` as in `Delta`."""


@dataclass(kw_only=True)
class _Growing:
    """One choice of a stream so far."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    tools: dict[int, dict[str, Any]] = field(default_factory=dict)
    logprobs: list[Any] = field(default_factory=list)
    legacy: dict[str, list[Any]] = field(default_factory=dict)
    ids: list[int] = field(default_factory=list)
    finish: str | None = None
    stop: dict[str, Any] = field(default_factory=dict)  # what ended it, in the server's own field
    count: int = 0
    told: bool = False  # the server itself told `count`


class Stream:
    """Puts the chunks of a stream together again.

    Args:
        n: choices asked for.
        kind: the family of the server.
        raw: raw completions rather than chat.
    """

    def __init__(self, n: int, *, kind: Kind, raw: bool) -> None:
        self._kind, self._raw, self._source = kind, raw, kind.running or ""
        self._choices = [_Growing() for _ in range(n)]
        self._last: int | None = None  # the choice that ended last
        self.usage: Any = None
        self._ended = False  # the server itself said that the stream was over

    @property
    def counts(self) -> list[int]:
        """Tokens received so far, for each choice."""
        return [choice.count for choice in self._choices]

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of the prompt, once the server told them."""
        return whole(self.usage.get("prompt_tokens")) if isinstance(self.usage, dict) else None

    @property
    def whole(self) -> bool:
        """Whether at least one choice has come and all those that have come were ended by the server."""
        seen = [choice for choice in self._choices if choice.finish is not None or choice.count]
        return bool(seen) and all(choice.finish is not None for choice in seen)

    def feed(self, chunk: Any) -> list[Delta]:
        """Take one chunk (or `DONE`) and return what it added.

        Raises:
            BadReply: not a chunk, or an error sent in place of one.
        """
        if chunk is DONE:
            self._ended = True
            return []
        if not isinstance(chunk, dict):
            raise unreadable("a stream event is not a JSON object")
        if chunk.get("error"):
            raise inner_error(chunk)
        choices = chunk.get("choices", [])
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise unreadable("a stream event has no readable choices")
        if chunk.get("usage") is not None:
            self.usage = chunk["usage"]
        if self._kind.counts_one and not choices and self._last is not None:
            return self._bill_last(chunk)
        return [self._grow(choice, chunk, alone=len(choices) == 1) for choice in choices]

    def _bill_last(self, chunk: Mapping[str, Any]) -> list[Delta]:
        """Take the usage that follows the end of each choice: it counts the token that ended the text, too."""
        place, self._last = self._last, None
        usage = chunk.get("usage")
        count = whole(usage.get("completion_tokens")) if isinstance(usage, dict) else None
        if place is None or count is None:
            return []
        choice = self._choices[place]
        before, choice.count, choice.told = choice.count, count, True
        return [Delta(place, "", max(0, count - before))]

    def _grow(self, data: Mapping[str, Any], chunk: Mapping[str, Any], *, alone: bool) -> Delta:
        index = data.get("index", 0)
        if not isinstance(index, int) or not 0 <= index < len(self._choices):
            raise unreadable(f"a stream event is for choice {index!r:.40} of {len(self._choices)}")
        choice = self._choices[index]
        delta = data if self._raw else data.get("delta") or data.get("message") or {}
        if not isinstance(delta, dict):
            raise unreadable("what a stream event adds is not a JSON object")
        more: dict[str, Any] = {}
        # Most chunks hold a piece of text and nothing else: what is not there costs one look-up (this runs per token).
        text = string(delta.get("text" if self._raw else "content"))
        choice.text.append(text)
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            more["reasoning"] = string(thought)
            choice.reasoning.append(more["reasoning"])
        if refusal := delta.get("refusal"):
            more["refusal"] = string(refusal)
            choice.refusal.append(more["refusal"])
        if tools := delta.get("tool_calls"):
            if not isinstance(tools, list):
                raise unreadable("the tool calls in the stream are not a list")
            more["tool_calls"] = [_grow_tool(choice.tools, call) for call in tools]
        listed = self._grow_tokens(choice, data) if "logprobs" in data or "token_ids" in data else 0
        if listed and isinstance(data.get("logprobs"), dict):
            more["logprobs"] = data["logprobs"]
        if data.get("finish_reason") is not None:
            choice.finish = str(data["finish_reason"])
            choice.stop = {name: data[name] for name in ("stop_reason", "matched_stop") if name in data}
            self._last = index
        before = choice.count
        running = self._running(chunk) if alone and self._source else None
        if running is not None and running >= before:
            # llama.cpp leaves the token that ends the text out of its running count.
            choice.count, choice.told = running, not self._kind.counts_one
        else:
            choice.count += listed or (1 if text or thought or refusal or tools else 0)
        return Delta(index, text, choice.count - before, more or None)

    def _grow_tokens(self, choice: _Growing, data: Mapping[str, Any]) -> int:
        logprobs = data.get("logprobs")
        listed = 0
        if isinstance(logprobs, dict):
            if isinstance(logprobs.get("content"), list):
                choice.logprobs += logprobs["content"]
                listed = len(logprobs["content"])
            elif isinstance(logprobs.get("tokens"), list):
                for name in ("tokens", "token_logprobs", "top_logprobs"):
                    choice.legacy.setdefault(name, []).extend(logprobs.get(name) or [])
                listed = len(logprobs["tokens"])
        if isinstance(data.get("token_ids"), list):
            choice.ids += data["token_ids"]
            listed = listed or len(data["token_ids"])
        return listed

    def _running(self, chunk: Mapping[str, Any]) -> int | None:
        told = chunk.get(self._source)
        if not isinstance(told, dict):
            return None
        return whole(told.get("completion_tokens" if self._source == "usage" else "predicted_n"))

    def reply(self) -> Reply:
        """Return the whole reply.

        Raises:
            BadReply: the stream ended before its choices did.
        """
        if not self.whole:
            raise unreadable("the stream ended before the answer did")
        seen = [choice for choice in self._choices if choice.finish is not None]
        if any(choice.finish is None for choice in self._choices[: len(seen)]):
            raise unreadable("the stream left out a choice")
        if len(seen) < len(self._choices) and not self._ended:
            # A server that ignores n ends its stream all the same; this one was cut between two choices.
            raise unreadable(f"the stream ended after {len(seen)} of {len(self._choices)} choices")
        return Reply(
            choices=[self._choice(choice) for choice in seen],
            usage=self.usage,
            counts=[choice.count if choice.told else None for choice in seen],
        )

    def _choice(self, choice: _Growing) -> dict[str, Any]:
        logprobs: Any = {"content": choice.logprobs} if choice.logprobs else choice.legacy or None
        out: dict[str, Any] = {"finish_reason": choice.finish, "logprobs": logprobs, "token_ids": choice.ids or None}
        out |= choice.stop
        text = "".join(choice.text)
        if self._raw:
            return out | {"text": text}
        message = {
            "content": text,
            "reasoning_content": "".join(choice.reasoning) or None,
            "refusal": "".join(choice.refusal) or None,
            "tool_calls": list(choice.tools.values()),
        }
        return out | {"message": message}


def _grow_tool(calls: dict[int, dict[str, Any]], part: Any) -> dict[str, Any]:
    """Add a part to the call that it belongs to, and return it with the place of that call in the whole reply."""
    if not isinstance(part, dict):
        raise unreadable("a tool call in the stream is not a JSON object")
    kind = "custom" if part.get("custom") else "function"
    made = part.get(kind) or {}
    if not isinstance(made, dict):
        raise unreadable(f"the {kind} of a tool call in the stream is not a JSON object")
    place = part.get("index")
    if not isinstance(place, int):  # servers that send each call whole leave it out
        place = len(calls)
    empty = {"name": "", "arguments" if kind == "function" else "input": ""}
    call = calls.setdefault(place, {"id": "", "type": kind, kind: empty})
    call["id"] = string(part.get("id")) or call["id"]
    fields = call.setdefault(kind, empty)
    for name in empty:
        fields[name] += string(made.get(name))
    return {**part, "index": list(calls).index(place)}  # some servers count from 1, or leave numbers out
