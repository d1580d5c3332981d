r"""How the released codes of cards 02 and 12 read and compare answers, errors included; for parity only.

Methods never use this: `ponder.verifiers.answers` reads and compares answers here.
Source: qalign's `get_last_number` (card 02) and MathCritique's answer normaliser, extractors and comparison (card 12),
written anew from their behaviour.
Differs: arithmetic is worked out by a small parser instead of `eval`, and gives up on powers with an exponent over 64.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Literal

__all__ = [
    "Dataset",
    "contained",
    "equal_values",
    "extract_reference",
    "extract_response",
    "last_box",
    "last_number",
    "normalise_latex",
]

Dataset = Literal["gsm8k", "math"]

_PHRASE = "The answer is"
_REPLACED = (
    ("\\\\", "\\"),
    ("\\$", ""),
    (",\\!", ""),
    ("\\!", ""),
    ("\\cdot", ""),
    ("\\%", "%"),
    ("\n", ""),
)
_DROPPED = (
    ("\\dfrac", "\\frac"),
    ("\\tfrac", "\\frac"),
    ("\\left", ""),
    ("\\right", ""),
    ("^{\\circ}", ""),
    ("^\\circ", ""),
    ("{,}", ""),
    ("\\,", ""),
)
_MATRIX = (
    ("\\phantom-", ""),
    ("\\", "\\\\"),
    ("\\\\begin", "\\begin"),
    ("\\\\end", "\\end"),
    ("\\\\frac", "\\frac"),
    ("\\\\sqrt", "\\sqrt"),
)
_OPERATORS: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_LARGEST_POWER = 64


def last_number(text: str) -> str:
    """Return the last number as qalign reads it: integers lose their sign; "NaN" where there is none."""
    joined = re.sub(r"(\d),(\d)", r"\1\2", text)
    found = re.findall(r"[-+]?\d*\.\d+|\d+", joined)
    return found[-1] if found else "NaN"


def last_box(text: str) -> str | None:
    r"""Return what stands in the last \boxed{}, or None where there is none or it is not closed."""
    _, opening, rest = text.rpartition("\\boxed{")
    depth = 1
    for at, char in enumerate(rest if opening else ""):
        depth += (char == "{") - (char == "}")
        if not depth:
            return rest[:at]
    return None


def normalise_latex(text: str | None) -> str | None:
    r"""Return an answer in MathCritique's normal form; None stays None.

    Raises:
        TypeError: a \text{ that is never closed.
        IndexError: an empty \text{}, or an underscore at the end.
    """
    if text is None:
        return None
    text = _replace(text.strip(), _REPLACED)
    if "i" not in text:
        text = text.replace("j", "i")
    for old, new in _DROPPED:
        text = text.replace(old, new)
        if old in ("\\left", "\\right") or old.startswith("^"):
            text = text.strip()
    for command in ("text", "mbox", "textnormal", "mathbf"):
        text = _unwrap(text, command)
    text = _full_fractions(_squeeze(text))
    for function in ("sqrt", "tan"):
        text = re.sub(rf"\\{function}(-?[0-9.a-zA-Z]+)", rf"\\{function}{{\1}}", text)
        text = re.sub(rf"\\{function}\s+(\w+)$", rf"\\{function}{{\1}}", text)
    text = _trim(_slash_fraction(text))
    if "_" in text:
        at = text.index("_") + 1
        if text[at] != "{":
            text = f"{text[:at]}{{{text[at:]}}}"
    if "pmatrix" in text:
        text = _replace(text, _MATRIX)
    return _squeeze(text.strip())


def extract_reference(text: str, dataset: Dataset) -> str | None:
    """Return the answer of a reference solution: after "#### " for gsm8k, the normalised box for math."""
    if dataset == "math":
        return normalise_latex(last_box(text))
    found = re.search(r"#### (-?[\d.,]+)", text)
    return found[1].replace(",", "") if found else None


def extract_response(text: str, dataset: Dataset) -> str:
    """Return the answer of a model's reply: what follows the first announcing phrase; the text itself on errors."""
    _, phrase, after = text.partition(_PHRASE)
    if phrase:
        text = after
    try:
        answer = last_box(text)
        if answer is None:
            found = re.search(r"(-?[\d.,]+)", text) if dataset == "gsm8k" else None
            answer = found[1] if found else text
            if answer[-1] == ".":
                answer = answer[:-1]
        normal = normalise_latex(answer) or ""
    except (IndexError, TypeError):
        return text
    return normal.replace(",", "") if dataset == "gsm8k" else normal


def equal_values(reference: str | None, answer: str | None) -> bool:
    """Return whether two extracted answers are equal strings, or arithmetic of equal value; None equals nothing."""
    if reference is None or answer is None:
        return False
    if reference == answer:
        return True
    values = [_work_out(reference), _work_out(answer)]
    return None not in values and values[0] == values[1]


def contained(reference: str | None, answer: str | None) -> bool:
    """Return MathCritique's loose flag: equal, or the reference stands in the answer, or one of them is missing."""
    if reference is None or answer is None:
        return True
    return equal_values(reference, answer) or reference in answer


def _replace(text: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text


def _unwrap(text: str, command: str) -> str:
    opening = f"\\{command}{{"
    if opening not in text:
        return text
    found = re.search(rf"{re.escape(opening)}(.*?)}}", text)
    if found is None:
        raise TypeError(f"{opening} is never closed")
    inside = found[1].replace(opening, "")  # of "\text{\text{a}" both openings go
    if command == "text" and inside in (" or ", ", and "):
        return text.replace(found[0], ",")
    return text.replace(found[0], "" if inside[0] == " " else inside)


def _squeeze(text: str) -> str:
    """Remove blanks, except between a command and the letter that follows it."""
    if " " not in text:
        return text
    words = [word for word in text.split(" ") if word]
    out = ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        out += word
        if "\\" in word and following and following[0].isalpha():
            out += " "
    return out


def _full_fractions(text: str) -> str:
    r"""Give \frac its braces: \frac12 and \frac1{2}; unchanged where one of them is cut short."""
    first, *rest = text.split("\\frac")
    out = first
    for part in rest:
        if not part.startswith("{"):
            if len(part) < 2:
                return text
            below = part[1:] if part[1] == "{" else f"{{{part[1]}}}{part[2:]}"
            part = f"{{{part[0]}}}{below}"
        out += "\\frac" + part
    return out


def _slash_fraction(text: str) -> str:
    """Turn a/b into a fraction where both are plain integers (or hold a root)."""
    parts = text.split("/")
    if len(parts) != 2:
        return text
    try:
        plain = [part if "sqrt" in part else str(int(part)) for part in parts]
    except ValueError:
        return text
    return f"\\frac{{{plain[0]}}}{{{plain[1]}}}" if plain == parts else text


def _trim(text: str) -> str:
    """Complete ".5", take "(A)" out of its brackets, drop a final mark; a text too short for one test stops them."""
    text = text.strip()
    try:
        if text[0] == "." and any(char.isdigit() for char in text[1:]):
            text = "0" + text
        if text[0] == "(" and text[2] == ")" and text[1].isalpha():
            text = text[1]
        if text[-1] in ",.\\":
            text = text[:-1]
    except IndexError:
        return text
    return text.strip()


def _work_out(text: str) -> float | None:
    """Return the value of plain arithmetic, or None where the text is none."""
    if not re.match(r"^[\d\s+\-*/().]*$", text):
        return None
    try:
        return _evaluate(ast.parse(text.lstrip(" \t"), mode="eval").body)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return None


def _evaluate(node: ast.AST) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        value = _evaluate(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _evaluate(node.left), _evaluate(node.right)
        if isinstance(node.op, ast.Pow) and abs(right) > _LARGEST_POWER:
            raise ValueError("the power is too large")
        return _OPERATORS[type(node.op)](left, right)
    raise ValueError("not plain arithmetic")
