r"""Answers to inequality problems: where they stand, which relation they name, and whether a number is what is claimed.

Source: Sheng et al. 2025, arXiv:2506.07927 (IneqMath, card 19), section on judges. `parity="released"` keeps what
lupantech/ineqmath does; else the card's rules: the last explicit letter wins, then symbols in the order <=, >=, none of
the above, <, >, =; what cannot be read is None and counts as wrong (the released code takes a random option). The
released counters of several splits are one and the same; here each split has its own.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

__all__ = [
    "OPTIONS",
    "Parity",
    "evaluate",
    "locate",
    "numeric_check",
    "overall",
    "quick_bound",
    "read_relation",
    "released_option",
    "same_bound_text",
    "score_table",
    "unnamed_bound",
]

Parity = Literal["paper", "released"]

OPTIONS = {
    "A": "(A) $\\leq$",
    "B": "(B) $\\geq$",
    "C": "(C) $=$",
    "D": "(D) $<$",
    "E": "(E) $>$",
    "F": "(F) None of the above",
}
_PHRASES = ("final answer is", "answer is", "final answer")
_LETTER = re.compile(r"\(([A-F])\)")
_RELEASED = (
    ("A", ("(A)", "leq", "≤")),
    ("B", ("(B)", "geq", "≥")),
    ("C", ("(C)", "=")),
    ("D", ("(D)", "<")),
    ("E", ("(E)", ">")),
    ("F", ("(F)", "none", "None")),
)
_SYMBOLS = (
    ("A", ("leq", "≤")),
    ("B", ("geq", "≥")),
    ("F", ("none of the above", "None of the above")),
    ("D", ("<",)),
    ("E", (">",)),
    ("C", ("=",)),
)


def locate(text: str | None) -> str:
    """Return the part of a solution that states its answer; empty for an empty one.

    The first of three phrases that occurs at all, from its last occurrence to the end, on one line; without any the
    last three lines.
    """
    if text is None or not text.strip():
        return ""
    lower = text.lower()
    for phrase in _PHRASES:
        at = lower.rfind(phrase)
        if at >= 0:
            found = re.sub(r"\\[()\[\]]", "$", text[at:])
            # White space inside the phrase's own line is squeezed; other spellings of the phrase are not known.
            return " ".join(found.split())
    return "\n".join(text.strip().split("\n")[-3:])


def released_option(text: str) -> str | None:
    """Return the option that the released code reads, as in `OPTIONS`; None where it would ask a model."""
    for option in OPTIONS.values():
        if option in text:
            return option
    for letter, marks in _RELEASED:
        if any(mark in text for mark in marks):
            return OPTIONS[letter]
    return None


def read_relation(text: str, *, parity: Parity = "paper") -> str | None:
    """Return the letter A to F that an answer names, or None."""
    if parity == "released":
        option = released_option(text)
        return None if option is None else option[1]
    letters = _LETTER.findall(text)
    if letters:
        last: str = letters[-1]
        return last
    return next((letter for letter, marks in _SYMBOLS if any(mark in text for mark in marks)), None)


def quick_bound(text: str) -> str | None:
    r"""Return what stands between the first two dollar signs, a whole `\boxed{}` off; None without two of them."""
    found = re.search(r"\$(.*?)\$", text)
    if found is None:
        return None
    inside = found[1].strip()
    boxed = re.fullmatch(r"\\boxed\{(.*)\}", inside)
    return boxed[1] if boxed else inside


def same_bound_text(left: str, right: str) -> bool:
    """Return whether two bounds are spelled the same, dollar signs and blanks apart."""
    return left.replace("$", "").replace(" ", "") == right.replace("$", "").replace(" ", "")


def unnamed_bound(text: str) -> str:
    r"""Return the expression of "C = ...": dollar signs, a box, a full stop and the name in front off."""
    text = text.strip().strip("$").strip().rstrip(".").strip().strip("$").strip()
    boxed = re.fullmatch(r"\\boxed\{(.*)\}", text)
    text = boxed[1].strip() if boxed else text
    return re.sub(r"^[A-Za-z](?:_(?:\{[^{}]*\}|\w))?\s*=\s*", "", text).strip()


def overall(verdicts: Sequence[bool | None]) -> bool | None:
    """Return whether all judges pass: False once one does not, else None where one cannot be read."""
    if any(verdict is False for verdict in verdicts):
        return False
    return None if any(verdict is None for verdict in verdicts) else True


def score_table(items: Sequence[Mapping[str, Any]], *, parity: Parity = "paper") -> dict[str, dict[str, Any]]:
    """Return counts and accuracies (percent, two decimals) by split and type.

    Args:
        items: with "split", "type" ("bound" or "relation"), "correct" and "answer_sentence".
        parity: "released" gives every split the sum over all of them.
    """
    splits = list(dict.fromkeys(str(item["split"]) for item in items))
    found = {}
    for split in splits:
        own = [item for item in items if parity == "released" or item["split"] == split]
        table: dict[str, Any] = {"all": _counts(own)}
        table["all"]["empty_responses"] = sum(item["answer_sentence"] == "" for item in own)
        for kind in ("bound", "relation"):
            table[kind] = _counts([item for item in own if item["type"] == kind])
        found[split] = table
    return found


def _counts(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    right = sum(bool(item["correct"]) for item in items)
    accuracy = round(100 * right / len(items), 2) if items else 0.0
    return {"total": len(items), "correct": right, "wrong": len(items) - right, "accuracy": accuracy}


# -- numeric equations -------------------------------------------------------------------------------------------------

_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sqrt": math.sqrt,
    "abs": abs,
    "exp": math.exp,
    "log": math.log,
    "ln": math.log,
}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_LONGEST = 400


def numeric_check(left: str, right: str, *, tolerance: float = 1e-2) -> bool | None:
    """Return whether two purely numeric expressions differ by less than the tolerance; None if one has no value."""
    one, other = evaluate(left), evaluate(right)
    return None if one is None or other is None else abs(one - other) < tolerance


def evaluate(text: str) -> float | None:
    r"""Return the value of an expression of numbers in float64, or None where it is none.

    Read are + - * / ^ **, brackets, sqrt, abs, exp, log, pi and e, and of LaTeX
    \frac, \sqrt, \cdot, \times, \left, \right, \pi and braces.
    """
    if len(text) > _LONGEST:
        return None
    plain = _plain(text)
    try:
        value = _value(ast.parse(plain, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, TypeError, MemoryError):
        return None
    return value if math.isfinite(value) else None


def _plain(text: str) -> str:
    text = re.sub(r"\\(?:left|right|,|;|!|displaystyle)|[$]", "", text).replace("\\dfrac", "\\frac")
    text = text.replace("\\tfrac", "\\frac").replace("−", "-").replace("×", "*").replace("·", "*").replace("÷", "/")
    text = re.sub(r"√\s*\(", "sqrt(", text)
    text = re.sub(r"√\s*(\d+(?:\.\d+)?)", r"sqrt(\1)", text).replace("π", "pi")
    for _ in range(8):
        new = re.sub(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"((\1)/(\2))", text)
        new = re.sub(r"\\sqrt\s*\[([^\[\]{}]*)\]\s*\{([^{}]*)\}", r"((\2)**(1/(\1)))", new)
        new = re.sub(r"\\sqrt\s*\{([^{}]*)\}", r"sqrt(\1)", new)
        new = re.sub(r"\^\s*\{([^{}]*)\}", r"**(\1)", new)
        if new == text:
            break
        text = new
    text = re.sub(r"\\(?:cdot|times)(?![A-Za-z])", "*", text).replace("\\pi", "pi").replace("^", "**")
    text = re.sub(r"(\d|\))\s*(?=\(|sqrt|pi)", r"\1*", text)  # 2sqrt(3), 2(3+4)
    return " ".join(text.split())


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=bool()):
            raise ValueError
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _value(inner)
        case ast.BinOp(left=left, op=op, right=right):
            return _operate(op, _value(left), _value(right))
        case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in _FUNCTIONS:
            return float(_FUNCTIONS[name](_value(inner)))
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
    raise ValueError


def _operate(op: ast.operator, a: float, b: float) -> float:
    match op:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.Div():
            return a / b
        case ast.Pow():
            return math.pow(a, b)
    raise ValueError
