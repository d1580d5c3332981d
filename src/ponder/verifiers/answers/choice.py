r"""Choice answers: the letter of a multiple-choice option.

Source: our own. Order: the last `\boxed{}`, the last `####`, the last "answer is" or "answer:"; else a letter that
opens the text ("B", "B.", "(B) because"); else the last letter in brackets; else the last capital standing alone, other
than A and I, which are words unless they end the text. Canonical form: the capital letter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ponder.core.errors import ConfigError
from ponder.core.registry import answer_types
from ponder.verifiers.answers._marks import marked
from ponder.verifiers.answers.equality import CanonicalEquality

__all__ = ["ChoiceAnswer"]

_WRAP = r"[\s*_`\"'$({\[\\]*+(?:(?:text|mathrm|textbf|mathbf)\{\s?)?(?:(?i:option|choice|letter)\s+\(?)?"
_OPENING = re.compile(rf"{_WRAP}(?P<letter>[A-Za-z])(?![^\W_]|['\u2019])(?P<rest>\s*[a-z])?")
_CLOSED = re.compile(r"\s*[*_]*[).:\]}]")
_BRACKETED = re.compile(r"\(([A-Za-z])\)|\[([A-Za-z])\]")
_ALONE = re.compile(r"(?<![\w'\u2019-])([B-HJ-Z](?![\w'\u2019-])|[AI](?=[\s.!*)]*+\Z))")


@answer_types("choice")
@dataclass(frozen=True, kw_only=True)
class ChoiceAnswer(CanonicalEquality):
    """One of the letters from A to `last`.

    Attributes:
        last: the last letter that is an option, "B" to "Z".
    """

    last: str = "J"

    def __post_init__(self) -> None:
        if len(self.last) != 1 or not "B" <= self.last <= "Z":
            raise ConfigError(f"last must be a letter from B to Z, got {self.last!r}")

    def extract(self, text: str) -> str | None:
        """Return the chosen letter as a capital, or None."""
        for place in (*marked(text), text):
            if (letter := self._opening(place)) is not None:
                return letter
        found = [(a or b) for a, b in _BRACKETED.findall(text)] or _ALONE.findall(text)
        options = [letter.upper() for letter in found if letter.upper() <= self.last]
        return options[-1] if options else None

    def _opening(self, place: str) -> str | None:
        """Read the letter that `place` opens with, unless it is the first word of a sentence ("A dog ...")."""
        match = _OPENING.match(place)
        if match is None or match["letter"].upper() > self.last:
            return None
        if match["rest"] and not _CLOSED.match(place, match.end("letter")):
            return None
        return match["letter"].upper()
