r"""Inequalities: the best constant of an inequality, or the relation between two sides, with answers that are exact.

Source: our own problems with textbook proofs (means, Cauchy-Schwarz, convexity), in the two forms of IneqMath (Sheng et
al. 2025, arXiv:2506.07927, card 19): "bound" asks for C and ends with "The answer is $C=X$", "relation" asks for one of
six options and ends with "The answer is (Letter) Symbol". The published set: `load_problems("ineqmath:FILE")`.
Levels: 1 is one known inequality, 2 has numbers of its own, 3 an irrational answer or a relation that does not hold.
Cost: 200 completion tokens and more for a solution with its reasons. Needs: the extra `math` to compare bounds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

from ponder.core.errors import ConfigError
from ponder.core.registry import tasks
from ponder.core.task import Message, Task
from ponder.numerics.inequality import OPTIONS
from ponder.tasks.problem import Problem, check_level, draw

__all__ = ["Inequalities", "bound_prompt", "relation_prompt"]

_SOLVE = "Solve the problem with clear, rigorous and logically sound steps."
_BOUND = f'{_SOLVE} End with a line of the form "The answer is $C=X$", where X is exact.'
_RELATION = f'{_SOLVE} End with a line of the form "The answer is (Letter) Symbol".'


class _Ask(NamedTuple):
    """A problem, its answer, and its level."""

    text: str
    answer: str
    level: int


def bound_prompt(problem: str) -> str:
    """Return what is asked for a bound."""
    return f"{_BOUND}\n\nProblem: {problem}\n\nSolution:"


def relation_prompt(problem: str) -> str:
    """Return what is asked for a relation; the options are added where the problem does not list them."""
    options = "" if OPTIONS["A"] in problem else "\nOptions:\n" + "\n".join(OPTIONS.values())
    return f"{_RELATION}\n\nProblem: {problem}{options}\n\nSolution:"


# -- bounds ------------------------------------------------------------------------------------------------------------


def _products(stream: random.Random) -> _Ask:
    s = stream.randint(1, 9)
    text = (
        f"Let $x, y, z$ be positive real numbers with $x + y + z = {s}$. "
        "Find the smallest constant $C$ such that $xy + yz + zx \\leq C$ always holds."
    )
    return _Ask(text, _fraction(Fraction(s * s, 3)), 1)


def _triple(stream: random.Random) -> _Ask:
    s = stream.randint(1, 9)
    text = (
        f"Let $x, y, z$ be positive real numbers with $x + y + z = {s}$. "
        "Find the smallest constant $C$ such that $xyz \\leq C$ always holds."
    )
    return _Ask(text, _fraction(Fraction(s**3, 27)), 1)


def _squares(stream: random.Random) -> _Ask:
    s = stream.randint(1, 9)
    text = (
        f"Let $x, y, z$ be real numbers with $x + y + z = {s}$. "
        "Find the largest constant $C$ such that $x^2 + y^2 + z^2 \\geq C$ always holds."
    )
    return _Ask(text, _fraction(Fraction(s * s, 3)), 1)


def _reciprocals(stream: random.Random) -> _Ask:
    s = stream.randint(1, 12)
    text = (
        f"Let $x, y, z$ be positive real numbers with $x + y + z = {s}$. Find the largest constant $C$ such that "
        "$\\frac{1}{x} + \\frac{1}{y} + \\frac{1}{z} \\geq C$ always holds."
    )
    return _Ask(text, _fraction(Fraction(9, s)), 2)


def _cauchy(stream: random.Random) -> _Ask:
    a, b = stream.randint(1, 9), stream.randint(1, 9)
    text = (
        "Find the smallest constant $C$ such that for all real numbers $x, y$: "
        f"$({_times(a)}x + {_times(b)}y)^2 \\leq C (x^2 + y^2)$."
    )
    return _Ask(text, str(a * a + b * b), 2)


def _sum_of_two(stream: random.Random) -> _Ask:
    a, b = stream.randint(1, 9), stream.randint(1, 9)
    text = f"Find the largest constant $C$ such that for all $x > 0$: ${_times(a)}x + \\frac{{{b}}}{{x}} \\geq C$."
    return _Ask(text, _root(4 * a * b), 3)


def _roots(stream: random.Random) -> _Ask:
    s = stream.randint(1, 12)
    text = (
        f"Let $x, y, z$ be positive real numbers with $x + y + z = {s}$. Find the smallest constant $C$ such that "
        "$\\sqrt{x} + \\sqrt{y} + \\sqrt{z} \\leq C$ always holds."
    )
    return _Ask(text, _root(3 * s), 3)


def _circle(stream: random.Random) -> _Ask:
    a, b, r = stream.randint(1, 6), stream.randint(1, 6), stream.randint(1, 5)
    text = (
        f"Let $x, y$ be real numbers with $x^2 + y^2 = {r}$. "
        f"Find the smallest constant $C$ such that ${_times(a)}x + {_times(b)}y \\leq C$ always holds."
    )
    return _Ask(text, _root(r * (a * a + b * b)), 3)


# -- relations ---------------------------------------------------------------------------------------------------------


def _means(stream: random.Random) -> _Ask:
    k = stream.randint(1, 9)
    left, right = f"{_times(k)}\\sqrt{{ab}}", f"\\frac{{{_times(k)}a + {_times(k)}b}}{{2}}"
    letter = "A"
    if stream.random() < 0.5:
        left, right, letter = right, left, "B"
    return _relation("Let $a, b$ be positive real numbers.", left, right, letter, 1)


def _three_squares(stream: random.Random) -> _Ask:
    k = _times(stream.randint(1, 9))
    left, right, letter = f"{k}(a^2 + b^2 + c^2)", f"{k}(ab + bc + ca)", "B"
    if stream.random() < 0.5:
        left, right, letter = right, left, "A"
    return _relation("Let $a, b, c$ be real numbers.", left, right, letter, 1)


def _expanded(stream: random.Random) -> _Ask:
    k = stream.randint(1, 9)
    left, right = f"(a + {k}b)^2 - (a - {k}b)^2", f"{4 * k}ab"
    return _relation("Let $a, b$ be real numbers.", left, right, "C", 2)


def _powers(stream: random.Random) -> _Ask:
    low, high = sorted(stream.sample(range(1, 12), 2))
    small = stream.random() < 0.5
    domain = "$0 < x < 1$" if small else "$x > 1$"
    left, right, letter = f"x^{{{low}}}", f"x^{{{high}}}", "E" if small else "D"
    if stream.random() < 0.5:
        left, right, letter = right, left, {"D": "E", "E": "D"}[letter]
    return _relation(f"Let $x$ be a real number with {domain}.", left, right, letter, 2)


def _undecided(stream: random.Random) -> _Ask:
    low, high = sorted(stream.sample(range(1, 12), 2))
    left, right = stream.sample([f"x^{{{low}}}", f"x^{{{high}}}"], 2)
    return _relation("Let $x$ be a positive real number.", left, right, "F", 3)


def _relation(given: str, left: str, right: str, letter: str, level: int) -> _Ask:
    asked = f"What is the relation between ${left}$ and ${right}$ that always holds?"
    text = f"{given} {asked}\n${left} \\quad (\\;) \\quad {right}$"
    return _Ask(text, OPTIONS[letter], level)


_MAKERS: dict[str, tuple[Callable[[random.Random], _Ask], ...]] = {
    "bound": (_products, _triple, _squares, _reciprocals, _cauchy, _sum_of_two, _roots, _circle),
    "relation": (_means, _three_squares, _expanded, _powers, _undecided),
}


@tasks("inequalities", tags={"where": ("math", "reasoning")})
@dataclass(frozen=True, kw_only=True)
class Inequalities:
    """Bounds and relations.

    Attributes:
        kind: "bound", "relation", or both in turn.
        level: 1, 2 or 3; None for all.
    """

    kind: Literal["mixed", "bound", "relation"] = "mixed"
    level: int | None = None

    def __post_init__(self) -> None:
        check_level(self.level)
        if self.kind not in ("mixed", *_MAKERS):
            raise ConfigError(f"kind must be mixed, bound or relation, got {self.kind!r}")

    def generate(self, count: int, seed: int) -> list[Problem]:
        """Return `count` distinct problems.

        Raises:
            ConfigError: there are not so many.
        """
        return draw(self._problem, count, seed, f"inequalities_{self.kind}", level=self.level)

    def _problem(self, stream: random.Random, index: int) -> Problem:
        kind = self.kind if self.kind != "mixed" else ("bound", "relation")[index % 2]
        ask = stream.choice(_MAKERS[kind])(stream)
        prompt = bound_prompt(ask.text) if kind == "bound" else relation_prompt(ask.text)
        metadata = {"family": "inequalities", "kind": kind, "difficulty": ask.level, "max_tokens": 400}
        reference = f"$C={ask.answer}$" if kind == "bound" else ask.answer
        return Problem(
            task=Task(messages=(Message("user", prompt),), answer=kind, metadata=metadata), reference=reference
        )


def _times(k: int) -> str:
    return "" if k == 1 else str(k)


def _fraction(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _root(n: int) -> str:
    """Return the root of n > 0 with its square factor in front."""
    factor = next(k for k in range(math.isqrt(n), 0, -1) if n % (k * k) == 0)
    rest = n // (factor * factor)
    return str(factor) if rest == 1 else f"{_times(factor)}\\sqrt{{{rest}}}"
