"""Choosing between the direct, the decomposed and the contracted solution of a question, and reading tags.

Source: Atom of Thoughts, arXiv:2502.12018 (card 62): the rules of its released code for scores, ties and the plug-in,
and its scorers with their sentinels (an answer that cannot be read counts as 0, so that two of them are equal).
Differs: `last_tag` reads tags over several lines; the released parser, kept as `released_tags`, does not. Numbers are
worked out by a small evaluator of arithmetic instead of running model output as a program.
Cost: one pass. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import ast
import json
import math
import operator
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

__all__ = [
    "arithmetic",
    "choose_solution",
    "choose_state",
    "last_tag",
    "released_choice",
    "released_json",
    "released_math",
    "released_tags",
    "token_f1",
]

_TAG = re.compile(r"<(?P<name>[\w-]+)>(?P<body>.*?)</(?P=name)>")
_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_LONGEST = 200  # characters of an expression
_EXACT = ("yes", "no", "noanswer")


def choose_solution(scores: Sequence[float]) -> int:
    """Return the first index with the largest score (0 direct, 1 decomposed, 2 contracted).

    Raises:
        ValueError: no scores.
    """
    return max(range(len(scores)), key=lambda k: (scores[k], -k))


def choose_state(scores: Sequence[float], words: Sequence[int]) -> int:
    """Return which contracted question goes on: the best score, then the fewest words of its solution, then the first.

    Raises:
        ValueError: no scores, or not as many words.
    """
    pairs = list(zip(scores, words, strict=True))
    return min(range(len(pairs)), key=lambda k: (-pairs[k][0], pairs[k][1], k))


def last_tag(text: str, name: str) -> str | None:
    """Return what stands in the last <name>...</name> that is not empty, trimmed, over several lines; None for none.

    Where the last opening tag is never closed (a reply that was cut), that is not read.
    """
    found = re.findall(rf"<{re.escape(name)}>(.*?)</{re.escape(name)}>", text, re.DOTALL | re.IGNORECASE)
    return next((body.strip() for body in reversed(found) if body.strip()), None)


def arithmetic(text: str) -> Fraction | None:
    """Return the exact value of an expression of numbers with + - * / // % and brackets, commas removed, or None."""
    text = text.replace(",", "").strip()
    if not 0 < len(text) <= _LONGEST:
        return None
    try:
        return _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        return None


def released_math(prediction: object, gold: object) -> int:
    """Return 1 where both evaluate to the same number, else 0; what cannot be evaluated is 0, and a None loses.

    Released sentinel: two unreadable answers are equal, and an unreadable one equals "0".
    """
    if prediction is None or gold is None:
        return 0
    left, right = (arithmetic(str(side)) for side in (prediction, gold))
    return int(float(left or 0) == float(right or 0))


def released_choice(prediction: str | None, gold: str | None) -> int:
    """Return 1 where the letters are the same without round brackets and case, else 0; blanks and dots count."""
    if not prediction or not gold:
        return 0
    left, right = (re.sub(r"[()]", "", side).upper() for side in (prediction, gold))
    return int(left == right)


def token_f1(prediction: str, gold: str | Sequence[str]) -> float:
    """Return the F1 of the words in common, lower case, without punctuation and articles; several references: the best.

    "yes", "no" and "noanswer" must be equal as a whole.
    """
    if not isinstance(gold, str):
        return max((token_f1(prediction, one) for one in gold), default=0.0)
    left, right = _plain_words(prediction), _plain_words(gold)
    if left != right and (" ".join(left) in _EXACT or " ".join(right) in _EXACT):
        return 0.0
    common = sum((Counter(left) & Counter(right)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(left), common / len(right)
    return 2 * precision * recall / (precision + recall)


def released_tags(text: str) -> dict[str, int | float | str]:
    """Return the released reading of all tags: one line only, digits as int, other numbers as float, the last wins."""
    found: dict[str, int | float | str] = {}
    for match in _TAG.finditer(text):
        body = match["body"].strip()
        if body.isdigit():
            found[match["name"]] = int(body)
            continue
        try:
            found[match["name"]] = float(body)
        except ValueError:
            found[match["name"]] = body
    return found


def released_json(text: str) -> Any:
    """Return what stands from the first brace to the last, or None where that is not JSON."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        return json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None


def _value(node: ast.AST) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and math.isfinite(value):
            return Fraction(str(value))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return Fraction(_OPERATORS[type(op)](_value(left), _value(right)))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return Fraction(_OPERATORS[type(op)](_value(operand)))
    raise ValueError("not arithmetic")


def _plain_words(text: str) -> list[str]:
    kept = "".join(c for c in text.lower() if c not in string.punctuation)
    return [word for word in kept.split() if word not in ("a", "an", "the")]
