"""Read an answer and a confidence that a model states in tags, and whether it answers at all.

Source: Zeng et al. 2025, arXiv:2504.06564 (card 25): the last pair of tags after the thought; a percentage or a
probability, by what was asked for; what cannot be read is left out.
Differs: the paper does not say how odd numbers are read. Here a percent sign always divides by 100; without one, a
number above 1 where a probability was asked for is taken as a percentage and flagged, as is one of at most 1 where a
percentage was asked for (it stays a percentage). Words around the number make it unreadable.
Cost: one pass over the text. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias

from ponder.core.errors import ConfigError

__all__ = ["Form", "Stated", "is_attempt", "last_tag", "read_confidence", "read_stated"]

Form: TypeAlias = Literal["percent", "probability"]

_NUMBER = re.compile(r"[\s*_`~]*(\d{1,9}(?:\.\d{0,12})?|\.\d{1,12})\s*(%|percent)?[\s*_`.]*", re.IGNORECASE | re.ASCII)
_DECLINED = re.compile(
    r"(?:(?:i\s*(?:am|'m)\s+)?(?:sorry|unsure|not\s+sure|unable\b.*)"
    r"|(?:sorry[,.]?\s+)?i\s+(?:really\s+)?(?:do\s*n[o']?t|cannot|can\s?not|can't)\s+(?:know|say|tell|answer|determine)\b.*"
    r"|unknown|unanswerable|idk|no\s+idea|(?:no|not)\s+(?:answer|attempted)|n\s*/\s*a|none|\?+)[\s.!]*",
    re.IGNORECASE | re.DOTALL,
)
_THOUGHT_END, _THOUGHT = "</think>", "<think>"


class Stated(NamedTuple):
    """What a reply states.

    Attributes:
        answer: text between the answer tags; None where there are none.
        confidence: in [0, 1]; None where it cannot be read.
        problem: why a part is missing, or how an odd number was taken; empty for a plain reply.
    """

    answer: str | None
    confidence: float | None
    problem: str = ""


def read_stated(text: str, form: Form = "percent") -> Stated:
    """Read the answer and the confidence of a reply.

    Raises:
        ConfigError: no such form.
    """
    answer, said = last_tag(text, "answer"), last_tag(text, "confidence")
    if said is None:
        return Stated(answer, None, "there is no confidence tag")
    confidence, problem = read_confidence(said, form)
    return Stated(answer, confidence, problem or ("" if answer is not None else "there is no answer tag"))


def last_tag(text: str, tag: str) -> str | None:
    """Return what stands between the last `<tag>` and `</tag>` behind the thought, stripped; None without a pair.

    A thought that was not closed hides everything, since models rehearse the format while they think.
    """
    behind = text.rpartition(_THOUGHT_END)[2]
    behind = behind.partition(_THOUGHT)[0]
    lowered = behind.lower()
    if len(lowered) != len(behind):  # a letter whose small form is longer: places would not agree
        lowered = behind
    end = lowered.rfind(f"</{tag}>")
    start = lowered.rfind(f"<{tag}>", 0, end) if end >= 0 else -1
    return behind[start + len(tag) + 2 : end].strip() if start >= 0 else None


def read_confidence(said: str, form: Form = "percent") -> tuple[float | None, str]:
    """Return a number in [0, 1] or None, and what was odd about it.

    Args:
        said: a number with or without a percent sign, and nothing else.
        form: what was asked for.

    Raises:
        ConfigError: no such form.
    """
    if form not in ("percent", "probability"):
        raise ConfigError(f"form must be percent or probability, got {form!r}")
    match = _NUMBER.fullmatch(said)
    if match is None:
        return None, "the confidence is no number"
    value, percent = float(match[1]), match[2] is not None
    if percent or form == "percent":
        odd = "a percentage of at most 1 without a sign" if not percent and 0 < value <= 1 else ""
        value /= 100
    else:
        odd = "taken as a percentage" if value > 1 else ""
        value = value / 100 if value > 1 else value
    return (value, odd) if value <= 1 else (None, "the confidence is out of range")


def is_attempt(answer: str) -> bool:
    """Return whether an answer is one, and not a way to say that there is none ("I don't know", "unknown")."""
    plain = answer.replace("\u2019", "'").strip()
    return bool(plain) and _DECLINED.fullmatch(plain) is None
