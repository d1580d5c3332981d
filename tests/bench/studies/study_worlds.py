"""Worlds where the right answer is known: questions, rows and judged answers drawn from stated laws."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ponder.bench.rows import Row
from ponder.bench.studies.allocation import Outcome, Question
from ponder.bench.studies.dynamics import Judged
from ponder.bench.summary import Key
from ponder.core.seeds import derive
from ponder.core.usage import Usage
from ponder.planning.difficulty import Evidence

T = TypeVar("T")
Law = Callable[[float, Key], float]  # (difficulty in [0, 1], configuration) -> chance of a right answer


def questions(law: Law, keys: list[Key], *, count: int = 200, seed: int = 0) -> list[Question]:
    """Questions spread evenly over difficulty; a configuration of n samples costs 10 n."""
    out = []
    for at in range(count):
        value = (at + 0.5) / count
        rng = derive(seed, "world", at)
        outcomes = {key: Outcome(rng.random() < law(value, key), 10.0 * key[1]) for key in keys}
        out.append(Question(id=f"q{at}", value=value, outcomes=outcomes))
    return out


def rows(asked: list[Question], *, probe: int = 2, family: str = "world") -> list[Row]:
    """The same as rows: 10 tokens a sample; the probe's agreement is the question's value, rounded down to tenths."""
    out = []
    for question in asked:
        agreeing = int(10 * (question.value or 0))
        groups = tuple([0] * agreeing + list(range(agreeing, 10)))
        evidence = Evidence(groups=groups, grades=tuple(k < agreeing for k in range(10)))
        out.append(row(question.id, "probe", probe, right=False, evidence=evidence, family=family))
        out += [row(question.id, *key, right=found.correct, family=family) for key, found in question.outcomes.items()]
    return out


def known(found: T | None) -> T:
    """Return what must be there."""
    assert found is not None
    return found


def row(problem: str, curve: str, n: int, *, right: bool | None, **fields) -> Row:
    method = "self_consistency" if curve == "probe" else curve.partition(" ")[0]
    usage = {"policy": Usage(calls=n, prompt_tokens=4 * n, completion_tokens=6 * n)}
    base = {
        "family": "world",
        "settings": {"n": n, "early_stop": "none"},
        "answer": "1",
        "grader": "reference",
        "usage": usage,
        "paid": usage,
        "candidates": n,
        "model": "small",
    }
    return Row(problem=problem, curve=curve, method=method, n=n, correct=right, **{**base, **fields})


def verifier_that_solves(solves: Callable[[float], float], *, problems: int = 400, answers: int = 8) -> list[Judged]:
    """Card 21, check 7: it accepts what agrees with its own answer; wrong answers spread over ten values."""
    out = []
    for at in range(problems):
        rate = (at + 0.5) / problems
        rng = derive(1, "judge", at)
        labels, votes = [], []
        for _ in range(answers):
            right = rng.random() < rate
            answer = 0 if right else rng.randint(1, 10)
            own = 0 if rng.random() < solves(rate) else rng.randint(1, 10)
            labels.append(right)
            votes.append(answer == own)
        out.append(Judged(f"p{at}", "writer", "judge", tuple(votes), tuple(labels)))
    return out
