"""Rows of a small bench, made by hand: three places of a curve, prompts of falling ease, samples with grades."""

from __future__ import annotations

from typing import Any

from ponder.bench.rows import Row
from ponder.core.seeds import derive
from ponder.planning.difficulty import Evidence
from tests.bench.bench_doubles import row

PLACES = (1, 4, 8)


def graded_row(problem: str, grades: str, *, groups: str | None = None, **fields: Any) -> Row:
    """A row whose samples are graded by "1" and "0" ("?" is no grade); by default equal grades are equal answers."""
    marks: tuple[bool | None, ...] = tuple({"1": True, "0": False}.get(mark) for mark in grades)
    places = groups or grades.replace("?", "-")
    kept = Evidence(
        groups=tuple(None if mark == "-" else places.index(mark) for mark in places),
        scores=tuple(0.5 if mark is None else 0.25 + mark / 2 for mark in marks),
        grades=marks,
    )
    correct = fields.pop("correct", sum(mark is True for mark in marks) * 2 > len(marks))
    return row(problem, correct, **{"n": len(grades), "evidence": kept, **fields})


def bench(prompts: int = 12, *, seed: int = 0) -> list[Row]:
    """Rows of every prompt at every place; the samples of a place are the first of the next."""
    rng = derive(seed, "bench")
    rows = []
    for at in range(prompts):
        ease = 1 - (at + 0.5) / prompts
        grades = "".join("1" if rng.random() < ease else "0" for _ in range(max(PLACES)))
        rows += [graded_row(f"p{at}", grades[:n], model="small") for n in PLACES]
    return rows
