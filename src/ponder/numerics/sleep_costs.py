"""What thinking before the question costs and saves; contexts and questions split; answers read as released.

Source: sleep-time compute, arXiv:2504.13171 (card 37): cost model, break-even, predictability, splitter and answer
pattern. The sentence splitter that leaves numbers, initials and abbreviations whole is ours.
Cost: closed forms; linear in texts. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ponder.core.errors import BadInput

__all__ = [
    "PRICE",
    "Split",
    "break_even",
    "cost_per_question",
    "covered_mass",
    "cut_at_sentence",
    "quantiles",
    "released_answer",
    "released_split",
    "sentences",
    "split_question",
]

PRICE = 10.0  # of a token at question time, in tokens of the sleep
_END = re.compile(r"[.!?]+[\"')\]\u201d\u2019]*(?=\s|$)")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|No|approx)\.$")
_NUMBER = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")


class Split(NamedTuple):
    """What is known before, and what is asked."""

    context: str
    question: str


def cost_per_question(slept: float, asked: Sequence[float], *, price: float = PRICE) -> float:
    """Return the weighted tokens per question of one context.

    Args:
        slept: tokens of the sleep, >= 0.
        asked: tokens of each question, >= 0.
        price: of a token of these in tokens of the sleep, > 0.

    Raises:
        BadInput: out of range, or no question.
    """
    if slept < 0 or not asked or min(asked) < 0 or not price > 0:
        raise BadInput("needs tokens >= 0, at least one question, and a price > 0")
    return (slept + price * sum(asked)) / len(asked)


def break_even(slept: float, base: float, asked: float, *, price: float = PRICE) -> float | None:
    """Return the number of questions from which on the sleep has paid; None where a question is not cheaper after it.

    Args:
        slept: tokens of the sleep.
        base: tokens of a question without it.
        asked: tokens of a question with it.
        price: of a token of a question in tokens of the sleep, > 0.
    """
    saved = price * (base - asked)
    return slept / saved if saved > 0 else None


def covered_mass(facts: Sequence[float], known: int) -> float:
    """Return the share of questions, by the weights of the facts they ask for, that the first `known` facts answer."""
    whole = sum(facts)
    if not whole > 0 or not 0 <= known <= len(facts):
        raise BadInput("needs positive weights, and no more known facts than there are")
    return sum(facts[:known]) / whole


def quantiles(values: Sequence[float], count: int = 5) -> list[int]:
    """Return for each value its part, 0 (least) .. count - 1, in parts of equal size; ties in the order given."""
    if count < 1:
        raise BadInput("needs at least one part")
    out = [0] * len(values)
    for rank, at in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        out[at] = rank * count // len(values)
    return out


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; a stop inside a number or after an initial or abbreviation ends none."""
    out, start = [], 0
    for found in _END.finditer(text):
        if found.group() == "." and _ABBREVIATION.search(text[start : found.end()]):
            continue
        out.append(text[start : found.end()].strip())
        start = found.end()
    rest = text[start:].strip()
    return [sentence for sentence in [*out, rest] if sentence]


def split_question(text: str) -> Split:
    """Return what stands before the last question, and this with what follows it; the last sentence where none asks."""
    parts = sentences(text)
    asking = [at for at, part in enumerate(parts) if part.rstrip("\"')]\u201d\u2019").endswith("?")]
    at = asking[-1] if asking else len(parts) - 1
    return Split(" ".join(parts[: max(0, at)]), " ".join(parts[max(0, at) :]))


def cut_at_sentence(text: str, most: int) -> str:
    """Return as many whole sentences as fit `most` characters; the first `most` characters where none does."""
    if len(text) <= most:
        return text
    ends = [found.end() for found in _END.finditer(text[: most + 1]) if found.end() <= most]
    return text[: ends[-1]].rstrip() if ends else text[:most]


def released_split(text: str) -> Split:
    """Return the released split at every full stop, which also cuts numbers ("4.5" becomes "4. 5")."""
    parts = [part.strip() for part in text.split(".") if part.strip()]
    if not parts:
        return Split("", "")
    context = ". ".join(parts[:-1])
    return Split(context + "." if context else "", parts[-1])


def released_answer(text: str) -> str | None:
    """Return the last match of the released number pattern without "$", "," and stops at its end; None for none."""
    found = [left or right for left, right in _NUMBER.findall(text)]
    return found[-1].replace("$", "").replace(",", "").rstrip(".") if found else None
