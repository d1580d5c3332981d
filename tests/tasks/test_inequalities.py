r"""Inequality problems: answers are checked against random search, and readable by their answer types."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable

import pytest

from ponder.core import registry
from ponder.core.errors import ConfigError
from ponder.numerics.inequality import OPTIONS, evaluate
from ponder.tasks.inequalities import Inequalities
from ponder.tasks.problem import Problem


def problems(kind: str, count: int = 40) -> list[Problem]:
    return Inequalities(kind=kind).generate(count, seed=2)  # type: ignore[arg-type]


def numbers(text: str) -> dict[str, float]:
    """The numbers of a problem by what stands around them."""
    found = {"s": re.search(r"x \+ y \+ z = (\d+)", text), "r": re.search(r"x\^2 \+ y\^2 = (\d+)", text)}
    return {name: float(match[1]) for name, match in found.items() if match}


def extreme(text: str, draw: random.Random) -> tuple[float, bool]:
    """The most extreme value of the ratio by random search, and whether the bound is an upper one."""
    upper = "smallest constant" in text
    pick: Callable[[list[float]], float] = max if upper else min
    given = numbers(text)
    values = []
    for _ in range(1500):
        parts = [draw.expovariate(1) for _ in range(3)]
        x, y, z = (given.get("s", 1.0) * part / sum(parts) for part in parts)
        if "xyz" in text:
            values.append(x * y * z)
        elif "xy + yz + zx" in text:
            values.append(x * y + y * z + z * x)
        elif "\\frac{1}{x} + \\frac{1}{y}" in text:
            values.append(1 / x + 1 / y + 1 / z)
        elif "\\sqrt{x}" in text:
            values.append(math.sqrt(x) + math.sqrt(y) + math.sqrt(z))
        elif "x^2 + y^2 + z^2" in text:
            values.append(x * x + y * y + z * z)
        elif match := re.search(r"\((\d*)x \+ (\d*)y\)\^2", text):
            a, b = (float(part or 1) for part in match.groups())
            values.append((a * x + b * y) ** 2 / (x * x + y * y))
        elif match := re.search(r"\$(\d*)x \+ \\frac\{(\d+)\}\{x\}", text):
            a, b = float(match[1] or 1), float(match[2])
            at = math.exp(draw.uniform(-3, 3))
            values.append(a * at + b / at)
        elif match := re.search(r"\$(\d*)x \+ (\d*)y \\leq", text):
            a, b = (float(part or 1) for part in match.groups())
            angle = draw.uniform(0, 2 * math.pi)
            values.append(math.sqrt(given["r"]) * (a * math.cos(angle) + b * math.sin(angle)))
        else:
            raise AssertionError(f"no search for {text}")
    return pick(values), upper


@pytest.mark.parametrize("problem", problems("bound"), ids=lambda problem: problem.task.id)
def test_random_search_comes_close_to_every_bound_and_never_beyond(problem: Problem) -> None:
    value = evaluate(str(problem.reference).strip("$").removeprefix("C="))
    assert value is not None
    found, upper = extreme(problem.task.prompt, random.Random(0))
    assert found <= value + 1e-9 if upper else found >= value - 1e-9
    assert found == pytest.approx(value, rel=0.1)


@pytest.mark.parametrize("problem", problems("relation"), ids=lambda problem: problem.task.id)
def test_random_search_agrees_with_every_relation(problem: Problem) -> None:
    shown = re.search(r"between \$(.*?)\$ and \$(.*?)\$ that", problem.task.prompt)
    assert shown is not None
    draw = random.Random(1)
    signs = set()
    for _ in range(300):
        positive = "real numbers." not in problem.task.prompt or "positive" in problem.task.prompt
        a, b, c = (draw.uniform(0.05, 3) if positive else draw.uniform(-3, 3) for _ in range(3))
        if draw.random() < 0.2:
            b = c = a
        x = draw.uniform(0.3, 0.95) if "0 < x < 1" in problem.task.prompt else draw.uniform(0.05, 3)
        if "x > 1" in problem.task.prompt:
            x = draw.uniform(1.1, 3)
        left, right = (value_of(side, {"a": a, "b": b, "c": c, "x": x}) for side in shown.groups())
        signs.add(0 if math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9) else math.copysign(1, left - right))
    letter = str(problem.reference)[1]
    if letter == "F":
        assert {1, -1} <= signs
    else:
        allowed = {"A": {-1, 0}, "B": {1, 0}, "C": {0}, "D": {-1}, "E": {1}}[letter]
        assert signs == allowed


def value_of(side: str, values: dict[str, float]) -> float:
    text = re.sub(r"\\frac\{(.*)\}\{2\}", r"(\1)/2", side)
    if found := re.fullmatch(r"(\d*)\\sqrt\{ab\}", text):
        return float(found[1] or 1) * math.sqrt(values["a"] * values["b"])
    text = re.sub(r"(?<=[0-9a-c)])(?=[a-c(])(?!\()|(?<=\d)(?=\()", "*", text)
    for name, given in values.items():
        text = re.sub(rf"(?<![A-Za-z\\]){name}(?![A-Za-z])", f"({given!r})", text)
    value = evaluate(text)
    assert value is not None, (side, text)
    return value


@pytest.mark.math
@pytest.mark.parametrize("kind", ["bound", "relation"])
async def test_references_are_answers_of_their_type(kind: str) -> None:
    for problem in problems(kind, 20):
        made = registry.answer_types.get(problem.task.answer).make()
        gold = made.extract(problem.reference)
        assert gold is not None
        assert await made.same(gold, made.extract(f"Some steps.\nThe answer is {problem.reference}."))
        assert str(problem.reference) not in str(problem.task.metadata)


def test_kinds_take_turns_levels_are_kept_and_options_are_shown() -> None:
    mixed = Inequalities().generate(8, seed=0)
    assert [problem.task.answer for problem in mixed] == ["bound", "relation"] * 4
    for level in (1, 2, 3):
        assert {p.task.metadata["difficulty"] for p in Inequalities(level=level).generate(6, seed=0)} == {level}
    assert all(option in mixed[1].task.prompt for option in OPTIONS.values())
    assert Inequalities().generate(5, seed=1) == Inequalities().generate(9, seed=1)[:5]


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError):
        Inequalities(kind="proof")  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        Inequalities(level=4)
