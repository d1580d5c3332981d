"""Turn token ids into text as they come, end at stop strings, and split thinking from answer.

A token may be a part of a character, so text is given out once it is whole; and text that could be the start of a
stop string is held back, so that what was streamed is always a part of the answer.

Source: our own. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = ["CLOSE", "OPEN", "Spelling", "Thought", "split_thinking"]

OPEN, CLOSE = "<think>", "</think>"
_BROKEN = "\ufffd"  # what decoders give for a part of a character


class Spelling:
    """The text of one growing answer.

    Attributes:
        text: the answer so far, without the stop string that ended it.
        stopped: the stop string that was met, or None.
    """

    def __init__(
        self, decode: Callable[[list[int]], str], *, before: Sequence[int] = (), stops: Sequence[str] = ()
    ) -> None:
        """Start after the tokens `before`: some decoders drop the space of what they take for the first word."""
        self.text = ""
        self.stopped: str | None = None
        self._decode, self._stops = decode, stops
        self._pieces: list[str] = []
        self._shown = 0
        # A window of tokens is decoded together: those that were given out last, for context, and those pending.
        self._window = list(before[-4:])
        self._given = len(self._window)
        self._known = decode(self._window)

    def push(self, token: int) -> str:
        """Add a token; return the text that now is certain to be part of the answer and was not returned before."""
        self._window.append(token)
        self._pieces.append("")
        full = self._decode(self._window)
        if len(full) > len(self._known) and not full.endswith(_BROKEN):
            self._extend(full[len(self._known) :])
            self._window = self._window[self._given :]
            self._given = len(self._window)
            self._known = self._decode(self._window)
        return self._show(len(self.text) - (0 if self.stopped is not None else self._suspect()))

    def finish(self) -> str:
        """End the answer; return what was held back."""
        rest = self._decode(self._window)[len(self._known) :]
        if rest and self._pieces and self.stopped is None:
            self._extend(rest)
        return self._show(len(self.text))

    @property
    def texts(self) -> tuple[str, ...]:
        """The text that each token added to the answer."""
        out, left = [], len(self.text)
        for piece in self._pieces:
            out.append(piece[:left])
            left -= len(out[-1])
        return tuple(out)

    def _extend(self, piece: str) -> None:
        start = len(self.text)
        self._pieces[-1] = piece
        self.text += piece
        found = [(self.text.find(stop, max(0, start - len(stop) + 1)), stop) for stop in self._stops]
        met = [(at, stop) for at, stop in found if at >= 0]
        if met:
            at, self.stopped = min(met)
            self.text = self.text[:at]

    def _suspect(self) -> int:
        """Return the length of the longest end of the text that begins a stop string."""
        lengths = (n for stop in self._stops for n in range(1, len(stop)) if self.text.endswith(stop[:n]))
        return max(lengths, default=0)

    def _show(self, until: int) -> str:
        # A stop string found later may begin inside what was shown only if it was not suspected: never.
        shown, self._shown = self._shown, max(until, self._shown)
        return self.text[shown : self._shown]


class Thought(NamedTuple):
    """A reply in its parts; `reasoning` is None where there was none, `length` its characters with the tags."""

    reasoning: str | None
    answer: str
    length: int


def split_thinking(text: str, *, opened: bool) -> Thought:
    """Split a reply at its thinking tags.

    Args:
        text: the whole reply.
        opened: the prompt had opened the tag already.
    """
    start = len(text) - len(text.lstrip())
    if not opened and not text.startswith(OPEN, start):
        return Thought(None, text, 0)
    inside = start + len(OPEN) if text.startswith(OPEN, start) else 0
    end = text.find(CLOSE, inside)
    if end < 0:
        return Thought(text[inside:].strip(), "", len(text))
    length = end + len(CLOSE)
    return Thought(text[inside:end].strip(), text[length:].lstrip(), length)
