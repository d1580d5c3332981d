"""The rules that a text can be checked for without a model: words, letters, length, ending, question, JSON keys.

Source: our own. Words are compared whole and without case. An empty text keeps no rule.
Cost: no model call; linear in the text. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from ponder.verifiers.answers.json import find_json

__all__ = [
    "AtMostWords",
    "Avoids",
    "Constraint",
    "EndsWith",
    "Excludes",
    "Includes",
    "IsQuestion",
    "JsonKeys",
]

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_CLOSERS = " \t\r\n\"'\u201d\u2019\u00bb)]*_"


class Constraint(Protocol):
    """One rule that a text keeps or breaks."""

    @property
    def label(self) -> str:
        """The rule in words, as in "includes 'river'"."""

    def check(self, text: str) -> bool:
        """Return whether `text` keeps the rule. An empty text keeps none."""


@dataclass(frozen=True)
class Includes:
    """The word or phrase occurs, whole and in any case."""

    word: str

    @property
    def label(self) -> str:
        """The rule in words."""
        return f"includes {self.word!r}"

    def check(self, text: str) -> bool:
        """Return whether the word occurs in `text`."""
        return _occurs(self.word, text)


@dataclass(frozen=True)
class Excludes:
    """The word or phrase does not occur."""

    word: str

    @property
    def label(self) -> str:
        """The rule in words."""
        return f"does not use {self.word!r}"

    def check(self, text: str) -> bool:
        """Return whether `text` has words and not this one."""
        return bool(_WORD.search(text)) and not _occurs(self.word, text)


@dataclass(frozen=True)
class Avoids:
    """The letter occurs nowhere, in neither case."""

    letter: str

    @property
    def label(self) -> str:
        """The rule in words."""
        return f"avoids the letter {self.letter!r}"

    def check(self, text: str) -> bool:
        """Return whether `text` has words and no such letter."""
        return bool(_WORD.search(text)) and self.letter.casefold() not in text.casefold()


@dataclass(frozen=True)
class JsonKeys:
    """The first JSON value in the text is an object with exactly these keys."""

    keys: tuple[str, ...]

    @property
    def label(self) -> str:
        """The rule in words."""
        return f"JSON object with exactly the keys {', '.join(map(repr, self.keys))}"

    def check(self, text: str) -> bool:
        """Return whether the first JSON value in `text` is such an object."""
        value = find_json(text)
        return isinstance(value, dict) and value.keys() == set(self.keys)


@dataclass(frozen=True)
class IsQuestion:
    """The text ends in a question mark (closing quotes and marks aside)."""

    @property
    def label(self) -> str:
        """The rule in words."""
        return "is a question"

    def check(self, text: str) -> bool:
        """Return whether `text` has words and ends as a question."""
        return bool(_WORD.search(text)) and text.rstrip(_CLOSERS).endswith("?")


@dataclass(frozen=True)
class EndsWith:
    """The last word of the text."""

    word: str

    @property
    def label(self) -> str:
        """The rule in words."""
        return f"ends with {self.word!r}"

    def check(self, text: str) -> bool:
        """Return whether the last words of `text` are these."""
        wanted = [word.casefold() for word in _WORD.findall(self.word)]
        # Only the tail is read: the words of a long text need not all be listed to see the last ones.
        tail = [word.casefold() for word in _WORD.findall(text[-len(self.word) - 200 :])]
        return bool(wanted) and tail[-len(wanted) :] == wanted


@dataclass(frozen=True)
class AtMostWords:
    """The text has between 1 and `limit` words."""

    limit: int

    @property
    def label(self) -> str:
        """The rule in words."""
        return f"at most {self.limit} words"

    def check(self, text: str) -> bool:
        """Return whether `text` has at least one and at most `limit` words."""
        return 1 <= len(_WORD.findall(text)) <= self.limit


def _occurs(word: str, text: str) -> bool:
    phrase = r"\s+".join(re.escape(part) for part in word.split())
    return re.search(rf"(?<![^\W_]){phrase}(?![^\W_])", text, re.IGNORECASE) is not None
