r"""Number answers: one exact rational number, whatever way it is written.

Source: our own. Order: the last `\boxed{}`, the last `####`, the first number after the last "answer is" or
"answer:", else the last number of the text. Canonical form: `fractions.Fraction`, so 1/2, 0.5, .50 and 5e-1 are "1/2".
Reads: signs (also the Unicode minus), thousands (1,234 and 1 234, groups of exactly three digits), decimals with a
point, fractions and mixed numbers (2 1/2), \frac{1}{2}, 1.5e3 and 1.5 x 10^3. Currency and unit marks are dropped,
the percent sign too (50% is 50). Not read: number words, decimal commas, ordinals (3rd), digits inside a word (B12),
numbers longer than 400 characters or with an exponent beyond 400.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ponder.core.registry import answer_types
from ponder.verifiers.answers._marks import last, marked
from ponder.verifiers.answers.equality import CanonicalEquality

__all__ = ["NumberAnswer", "NumberToken", "normalise", "numbers"]

_LONGEST = 400  # characters of one number and size of its exponent; int() is quadratic in the digits
_TAIL = 4000
_MINUS = str.maketrans("\u2212\u2012\u2013\ufe63\uff0d\u00a0\u202f\u2009", "-----   ")
_CURRENCY = r"[$\u20ac\u00a3\u00a5\u20b9]"
_LATEX = re.compile(
    r"\\[dt]?frac\s?\{(?P<top>\d{1,400})\}\s?\{(?P<bottom>\d{1,400})\}|(?P<times>\\times|\\cdot)|(?P<drop>\\[$%,!]|\{,\})"
)
# Possessive quantifiers (++, ?+): a run of a million digits is passed over once instead of being tried again.
_NUMBER = re.compile(
    rf"""
    (?<![\w.])
    (?P<sign>(?:(?<![)\]])[-+])?+(?:{_CURRENCY}\s?+)?+(?:[-+](?=[\d.]))?+)
    (?P<whole>\d{{1,3}}(?:,\d{{3}})++(?![\d])|\d{{1,3}}(?:[ ]\d{{3}})++(?![\d/])|\d++|(?=\.\d))
    (?P<decimals>\.\d++)?+
    (?:[ ](?P<top>\d{{1,400}})/(?P<below>\d{{1,400}})(?![\d/])
      |[ ]?/[ ]?(?P<bottom>\d{{1,400}})(?![\d/.])
      |[eE](?P<e>[-+]?\d++)(?!\w)
      |[ ]?[x\u00d7*\u00b7][ ]?10[ ]?(?:\^|\*\*)[ ]?\{{?(?P<ten>[-+]?\d++)\}}?
    )?+
    (?!(?:st|nd|rd|th)\b)
    """,
    re.VERBOSE,
)


@answer_types("number")
@dataclass(frozen=True, kw_only=True)
class NumberAnswer(CanonicalEquality):
    """A rational number in lowest terms: "12", "-3/4"."""

    def extract(self, text: str) -> str | None:
        """Return the final number of `text` in lowest terms, or None."""
        for place in marked(text):
            for token in numbers(place):
                return str(token.value)
        # Nearly always the tail holds it; a number near the cut may be half of one, so then the whole text is read.
        for part in (text[-_TAIL:], text):
            final = last(numbers(part))
            if final is not None and (part is text or final.start > _LONGEST):
                return str(final.value)
        return None


@dataclass(frozen=True, slots=True)
class NumberToken:
    """A number in a text.

    Attributes:
        value: its exact value.
        start, end: where it stands in the text as `numbers` normalised it.
        decimals: digits written after the point.
    """

    value: Fraction
    start: int
    end: int
    decimals: int


def normalise(text: str) -> str:
    """Return `text` with the minus signs, spaces and LaTeX of numbers in plain form."""
    text = text.translate(_MINUS)
    return _LATEX.sub(_plain, text) if "\\" in text or "{," in text else text


def numbers(text: str) -> Iterator[NumberToken]:
    """Yield the numbers in `text` from left to right."""
    text = normalise(text)
    for match in _NUMBER.finditer(text):
        if (value := _value(match)) is not None:
            yield NumberToken(value, match.start(), match.end(), max(0, len(match["decimals"] or "") - 1))


def _plain(match: re.Match[str]) -> str:
    if match["top"]:
        return f"{match['top']}/{match['bottom']}"
    return "*" if match["times"] else ""


def _value(match: re.Match[str]) -> Fraction | None:
    if match.end() - match.start() > _LONGEST:
        return None
    value = Fraction(int(match["whole"].replace(",", "").replace(" ", "") or "0"))
    if match["decimals"]:
        value += Fraction(int(match["decimals"][1:]), 10 ** (len(match["decimals"]) - 1))
    if bottom := match["bottom"] or match["below"]:
        if int(bottom) == 0:
            return None
        part = Fraction(1, int(bottom))
        value = value * part if match["bottom"] else value + int(match["top"]) * part
    if exponent := match["e"] or match["ten"]:
        if abs(int(exponent)) > _LONGEST:
            return None
        value *= Fraction(10) ** int(exponent)
    return -value if "-" in match["sign"] else value
