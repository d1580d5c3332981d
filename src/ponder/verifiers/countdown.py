"""Countdown: judge an expression by the numbers and the target that the prompt gives.

Source: our own. Reads "the numbers A, B and C ... make T" (also "Numbers: A B C. Target: T.") from the last user
message, and from the answer its last expression with + - * / and brackets; what follows an equals sign is not looked
at. 1 if every given number is used exactly once, no other one, and the exact value is the target; else 0.
Differs from gold: nothing but the prompt is used; but where the same checker grades, the curve is "verifier = grader".
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from ponder.core.candidate import Candidate, Score
from ponder.core.registry import verifiers
from ponder.core.task import Task

__all__ = ["Countdown"]

_LIST = r"\[?(?P<numbers>\d{1,6}(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s+)\d{1,6})*)\]?"
_ASKED = re.compile(
    rf"\bnumbers?\b:?\s*{_LIST}(?P<between>.{{0,200}}?)\b(?:make|makes|reach|equals?|target)\b(?:\s+is|:)?\s*"
    r"(?P<target>\d{1,9})\b",
    re.IGNORECASE | re.DOTALL,
)
_SIGNS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-"})
_TIMES = re.compile(r"(?<=[\d)])\s*x\s*(?=[\d(])|\\times|\\cdot")
_LATEX = re.compile(r"\\[()\[\]]")
_EXPRESSION = re.compile(r"[\d(][\d \t+*/()-]*[\d)]")
_LONGEST = 200  # characters of an expression
_TAIL = 4000  # characters of an answer that are read


class _Round(NamedTuple):
    """What a prompt gives."""

    numbers: list[int]
    target: int


@verifiers("countdown", access=())
@dataclass(frozen=True, kw_only=True)
class Countdown:
    """1 for an expression that makes the target of the given numbers, 0 for another answer."""

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: object) -> list[Score]:
        """Score every candidate; missing where the prompt gives no numbers and target, or the call failed."""
        asked = _read(task.prompt)
        return [_judge(asked, candidate) for candidate in candidates]


def _read(prompt: str) -> _Round | None:
    match = _ASKED.search(prompt)
    if match is None:
        return None
    return _Round([int(number) for number in re.findall(r"\d+", match["numbers"])], int(match["target"]))


def _judge(asked: _Round | None, candidate: Candidate) -> Score:
    if asked is None:
        return Score.missing("the prompt gives no numbers with a target")
    if not candidate.ok:
        return Score.missing(f"no text to check: {candidate.error or 'the call failed'}")
    expression = _last_expression(candidate.text[-_TAIL:])
    if expression is None:
        return Score(value=0.0, reason="there is no expression in the answer")
    used: list[int] = []
    value = _evaluate(expression, used)
    if sorted(used) != sorted(asked.numbers):
        return Score(value=0.0, reason=f"uses {sorted(used)}, given are {sorted(asked.numbers)}")
    if value is None:
        return Score(value=0.0, reason="the expression divides by zero")
    right = value == asked.target
    return Score(value=float(right), reason=f"the expression makes {value}, asked is {asked.target}")


def _last_expression(text: str) -> ast.expr | None:
    text = _LATEX.sub("\n", _TIMES.sub(" * ", text.translate(_SIGNS)))
    for match in reversed(list(_EXPRESSION.finditer(text))):
        if len(match.group()) > _LONGEST or not re.search(r"[-+*/]", match.group()):
            continue
        try:
            tree = ast.parse(match.group().strip(), mode="eval").body
        except SyntaxError:  # brackets that do not match, "05", a dash between two numbers of a list
            continue
        if isinstance(tree, ast.BinOp) and _is_plain(tree):
            return tree
    return None


def _is_plain(tree: ast.expr) -> bool:
    """Whether nothing but natural numbers and the four operations occur."""
    match tree:
        case ast.Constant(value=int()):
            return True
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right=right):
            return _is_plain(left) and _is_plain(right)
    return False


def _evaluate(tree: ast.expr, used: list[int]) -> Fraction | None:
    """Return the exact value, None where it divides by zero; `used` gets the numbers, all of them in any case."""
    match tree:
        case ast.Constant(value=int() as number):
            used.append(number)
            return Fraction(number)
        case ast.BinOp(left=first, op=op, right=second):
            left, right = _evaluate(first, used), _evaluate(second, used)
            if left is None or right is None:
                return None
            match op:
                case ast.Add():
                    return left + right
                case ast.Sub():
                    return left - right
                case ast.Mult():
                    return left * right
            return left / right if right else None
    raise AssertionError(f"not a plain expression: {ast.dump(tree)}")
