"""Put one streamed choice of llama.cpp together: its text, tokens, finish reason and cost.

Source: replies seen from the server. Three of its habits are undone here. It sends no chunk for a token that ends
inside a character: the running count tells that there was one, its id is unknown (-1) and its log-probability NaN, and
the whole character is the text of the token that completed it. It holds back text that may become a stop string, and
loses it when the answer is cut just then. Its usage counts cached tokens, which nominal usage must not depend on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ponder.core.errors import BadReply
from ponder.core.model import Completion, Tokens
from ponder.core.task import Message
from ponder.core.usage import Usage

__all__ = ["Choice"]


class Choice:
    """What has come of one sibling so far.

    Attributes:
        finish: why it ended, or None while it runs.
    """

    def __init__(self, *, prompt: int, logprobs: int | None, first: bool) -> None:
        """Start an empty choice.

        Args:
            prompt: tokens of the prompt.
            logprobs: as in `Request`.
            first: the sibling that the prompt was read for; the others got a copy.
        """
        self._prompt, self._logprobs, self._first = prompt, logprobs, first
        self._ids: list[int] = []
        self._texts: list[str] = []
        self._values: list[float] = []
        self._top: list[tuple[tuple[int, str, float], ...]] = []
        self._cached = 0
        self.finish: Literal["stop", "length"] | None = None

    def add(self, chunk: Mapping[str, Any]) -> tuple[str, int]:
        """Take a chunk in; return its text and the number of tokens that it accounts for.

        Raises:
            BadReply: the chunk has a form that was never seen.
        """
        before = len(self._ids)
        try:
            (choice,) = chunk["choices"]
            text: str = choice["text"]
            entries = choice["logprobs"]["content"] if choice["logprobs"] else []
            if "usage" in chunk:
                total = int(chunk["usage"]["completion_tokens"])
                self._cached = int(chunk["usage"]["prompt_tokens_details"]["cached_tokens"])
            else:
                total = int(chunk["timings"]["predicted_n"]) if entries else before
            for _ in range(total - before - len(entries)):
                self._append(-1, math.nan, ())
            for entry in entries:
                top = [(int(t["id"]), str(t["token"]), float(t["logprob"])) for t in entry["top_logprobs"]]
                self._append(int(entry["id"]), float(entry["logprob"]), tuple(top))
            if choice["finish_reason"] is not None:
                self.finish = "length" if choice["finish_reason"] == "length" else "stop"
        except (KeyError, TypeError, ValueError, IndexError) as err:
            raise BadReply(f"the embedded server sent a chunk that cannot be read: {err!r}") from err
        if text:
            if not self._texts:
                raise BadReply("the embedded server sent text without a token")
            self._texts[-1] += text
        return text, len(self._ids) - before

    def restore(self, spell: Callable[[Sequence[int]], str]) -> str:
        """Return the text held back when the answer was cut, after giving it to the last token.

        Args:
            spell: returns the text of token ids. It is called only if something was held back.
        """
        silent = 0
        while silent < len(self._texts) and not self._texts[-1 - silent]:
            silent += 1
        held = [token for token in self._ids[len(self._ids) - silent :] if token >= 0]
        if self.finish != "length" or not held:
            return ""
        text = spell(held)
        self._texts[-1] += text
        return text

    def stopped_by(self, spell: Callable[[Sequence[int]], str], stops: Sequence[str]) -> str:
        """Return the stop string that ended the answer, empty where the model ended it: the server does not say.

        The tokens that hold it are among the last ones, whose text was kept back.

        Args:
            spell: returns the text of token ids.
            stops: the stop strings.
        """
        if self.finish != "stop" or not stops:
            return ""
        last = [token for token in self._ids[-1 - max(map(len, stops)) :] if token >= 0]
        ending = spell(last)
        met = [(ending.find(stop), stop) for stop in stops if stop in ending]
        return min(met)[1] if met else ""

    def completion(self, stop: str | None = None) -> Completion:
        """Return the finished choice; `stop` as in `Completion`."""
        asked = self._logprobs is not None
        tokens = Tokens(
            ids=tuple(self._ids),
            texts=tuple(self._texts),
            logprobs=tuple(self._values) if asked else None,
            top=tuple(top[: self._logprobs] for top in self._top) if self._logprobs else None,
        )
        usage = Usage(calls=1, prompt_tokens=self._prompt, completion_tokens=len(self._ids))
        sent = Usage(
            calls=1,
            prompt_tokens=self._prompt if self._first else 0,
            cached_tokens=self._cached if self._first else 0,
            completion_tokens=len(self._ids),
        )
        return Completion(
            message=Message("assistant", "".join(self._texts)),
            finish=self.finish or "stop",
            stop=stop if self.finish == "stop" else None,
            usage=usage,
            tokens=tokens,
            sent=None if sent == usage else sent,
        )

    def _append(self, token: int, value: float, top: tuple[tuple[int, str, float], ...]) -> None:
        self._ids.append(token)
        self._texts.append("")
        self._values.append(value)
        self._top.append(top)
