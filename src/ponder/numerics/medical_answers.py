r"""From a reply to an option of a multiple-choice question, as medical evaluations read it.

Source: Huang et al. 2025, arXiv:2504.00869 (card 07, section 2): the last `\boxed{}`, without a text wrapper and
without what stands before an "="; compared with the option's text and letter, and where that fails, matched by rules
of which the last always finds some option (so that noise scores about one over the number of options).
Differs: "=" is split after all wrappers are off (the released code splits within them and leaves a brace); what only
similarity can match is reported as such, so that it may be counted apart. `parity="released"` keeps the code's ways.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

__all__ = ["Match", "extract_boxed", "is_correct", "match_option", "read_options"]

Parity = Literal["paper", "released"]

_ANNOUNCED = re.compile(r"answer is\s*([A-N])")
_HEADING = "## Final Response\n\n"


class Match(NamedTuple):
    """An option and the rule that found it: "announced", "letter", "text" or "similar"."""

    letter: str
    rule: Literal["announced", "letter", "text", "similar"]


def extract_boxed(text: str, *, parity: Parity = "paper") -> str:
    r"""Return the content of the last `\boxed{}`, without `\text{}` and what is before "="; the text without a box."""
    for command in ("boxed", "text"):
        found = _content(text, command)
        if found is None:
            continue
        text = found
        if parity == "released":
            text = text.rpartition("=")[2].lstrip() if "=" in text else text
    if parity == "paper" and "=" in text and text:
        text = text.rpartition("=")[2].strip()
    return text


def read_options(lines: str) -> dict[str, str]:
    """Return the options by letter from lines "A. text"; other lines are left out."""
    found = {}
    for line in lines.splitlines():
        letter, dot, text = line.partition(". ")
        if dot:
            found[letter] = text
    return found


def match_option(text: str, options: Sequence[tuple[str, str]]) -> Match | None:
    """Return the option that a reply names, by the first rule that finds one; None without options.

    Args:
        text: the reply, or what was extracted from it.
        options: (letter, text) each.
    """
    if not options:
        return None
    text = text.rpartition(_HEADING)[2]
    letters = "".join(letter for letter, _ in options)
    announced = _ANNOUNCED.findall(text)
    if announced:
        return Match(announced[-1], "announced")
    alone = _letters(text, letters)
    if alone:
        return Match(alone[-1], "letter")
    lower = text.lower()
    places = [(lower.rfind(option.lower()), letter) for letter, option in options]
    last, letter = max(places, key=lambda place: place[0])
    if last >= 0:
        return Match(letter, "text")
    best, score = options[0][0], -1.0
    for letter, option in options:
        ratio = SequenceMatcher(None, lower, option.lower()).ratio()
        if ratio >= score:
            best, score = letter, ratio
    return Match(best, "similar")


def is_correct(extracted: str, letter: str, text: str, options: Sequence[tuple[str, str]]) -> tuple[bool, Match | None]:
    """Return whether an answer is the gold option, and by which match where no direct comparison decided.

    Args:
        extracted: from the reply.
        letter: of the gold option.
        text: of the gold option.
        options: (letter, text) each.
    """
    said = extracted.strip().lower()
    if said in (text.lower(), f"{letter}. {text}".lower(), letter.lower()):
        return True, None
    found = match_option(extracted, options)
    return found is not None and found.letter == letter, found


def _letters(text: str, letters: str) -> list[str]:
    """Return the option letters that stand alone; an "A" or "a" before a space is an article."""
    known = re.escape(letters)
    found = re.finditer(rf"(?<![^\s.,:;!?()\[\]{{}}*\"'/\\-])([{known}])(?![^\s.,:;!?()\[\]{{}}*\"'/\\-])", text)
    return [m[1] for m in found if not (m[1] == "A" and text[m.end() : m.end() + 1] == " ")]


def _content(text: str, command: str) -> str | None:
    r"""Return what the last `\command{...}` holds, braces balanced, or None."""
    start = text.rfind(f"\\{command}{{")
    if start < 0:
        return None
    start += len(command) + 2
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[start:at]
    return None
