"""Passes an answer on once, however many attempts it takes to get it: text, reasoning, tool calls, log-probabilities.

An attempt that broke is repeated from its beginning, and what the repetition says again is held back until it goes
beyond what was passed on. A text that then differs from what a client has seen cannot be mended: the stream ends.
Reasoning is no answer: where the second one differs, the first stands as far as it came, and the answer follows.
The id of a tool call is drawn anew by each attempt; the first one stands.

Source: our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ponder.core.errors import ProviderError
from ponder.core.model import Completion, Sink

__all__ = ["Diverged", "Listener", "Relay"]

# Parts of an answer, by what they continue: "text", "reasoning", "refusal", or a field of a tool call at its place
# ("" for that it has begun).
Channel = str | tuple[int, str]


class Listener(Protocol):
    """Who shows tokens to the client.

    Attributes:
        live: whether the tokens of the task's answers are shown as they come.
    """

    live: bool

    def token(self, sample: int, text: str) -> None:
        """Sample number `sample` goes on with `text`."""

    def detail(self, sample: int, text: str, more: Mapping[str, Any]) -> None:
        """Sample number `sample` goes on with `text`, and `more` as in `ponder.models._streams.Delta`."""


class Diverged(ProviderError):
    """A repeated attempt says something else than what the client has seen."""

    hint = "The stream ends with what was sent."


class Relay:
    """A sink that passes each part of each sibling on once."""

    def __init__(self, sink: Sink, n: int, *, first: int = 0, listener: Listener | None = None) -> None:
        self._sink, self._listener, self._first = sink, listener, first
        # What was passed on; and what a repeated attempt has said so far, where it lags behind that.
        self._said: list[dict[Channel, str]] = [{} for _ in range(n)]
        self._again: list[dict[Channel, str]] = [{} for _ in range(n)]
        self._listed = [0] * n  # log-probabilities that were passed on,
        self._known = [0] * n  # and how many of the next ones are among them

    def restart(self) -> None:
        """The next tokens are those of a new attempt."""
        self._again = [dict.fromkeys(said, "") for said in self._said]
        self._known = list(self._listed)

    def token(self, index: int, text: str, count: int = 1) -> None:
        """Pass on what is new.

        Raises:
            Diverged: the client has seen something else.
        """
        if text:
            text = self._new(index, "text", text)
        self._sink.token(index, text, count)
        if text and self._listener is not None and self._listener.live:
            self._listener.token(self._first + index, text)

    def detail(self, index: int, text: str, count: int, more: Mapping[str, Any]) -> None:
        """Pass on what is new of a part that is not only text.

        Raises:
            Diverged: the client has seen something else.
        """
        text = self._new(index, "text", text)
        new = {name: part for name, made in more.items() if (part := self._part(index, name, made))}
        self._sink.token(index, text, count)
        if (text or new) and self._listener is not None and self._listener.live:
            self._listener.detail(self._first + index, text, new)

    def prompt(self, index: int, tokens: int) -> None:
        """Pass the count on."""
        self._sink.prompt(index, tokens)

    def done(self, index: int, completion: Completion) -> None:
        """Pass the end on."""
        self._sink.done(index, completion)

    # -- what is new -----------------------------------------------------------------------------------------------

    def _part(self, index: int, name: str, made: Any) -> Any:
        if name == "tool_calls":
            return [new for part in made if (new := self._call(index, part)) is not None]
        if name == "logprobs":
            return self._tokens(index, made)
        return self._new(index, name, made)

    def _call(self, index: int, part: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return what is new of a part of a tool call; untouched in a first attempt."""
        place, said = part["index"], self._said[index]
        kind = "custom" if part.get("custom") else "function"
        begun, lags = (place, "") in said, bool(self._again[index])
        said[place, ""] = ""
        new = {
            name: self._new(index, (place, name), text)
            for name, text in (part.get(kind) or {}).items()
            if isinstance(text, str)
        }
        if not (begun and lags):
            return part
        kept = {name: text for name, text in new.items() if text}
        return {"index": place, kind: kept} if kept else None

    def _tokens(self, index: int, logprobs: Mapping[str, Any]) -> Mapping[str, Any] | None:
        lists = {name: value for name, value in logprobs.items() if isinstance(value, list)}
        count = max(map(len, lists.values()), default=0)
        known = min(count, self._known[index])
        self._known[index] -= known
        self._listed[index] += count - known
        if known == count:
            return None
        return logprobs if not known else {name: value[known:] for name, value in lists.items()}

    def _new(self, index: int, channel: Channel, text: str) -> str:
        """Return what of a part has not been passed on, and note it."""
        said, again = self._said[index], self._again[index]
        if channel in again:
            text = self._catch_up(index, channel, again[channel] + text)
        if text:
            said[channel] = said.get(channel, "") + text
        return text

    def _catch_up(self, index: int, channel: Channel, repeated: str) -> str:
        said, again = self._said[index][channel], self._again[index]
        if repeated.startswith(said):
            del again[channel]
            return repeated[len(said) :]
        # Where nobody has seen it, the tokens count, and the first text stands until the end.
        seen = channel != "reasoning" and self._listener is not None and self._listener.live
        if seen and not said.startswith(repeated):
            raise Diverged("the repeated answer differs from what was sent", status=200)
        again[channel] = repeated
        return ""
