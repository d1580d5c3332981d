"""Pairs of answers: the better one is better for a reason that a program can check, in either order."""

from __future__ import annotations

import re

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.tasks.preferences import KINDS, Preferences, preference_problem, turned


def answers(problem) -> tuple[str, str]:
    """The better answer and the other one."""
    about = problem.task.metadata
    both = about["first"], about["second"]
    return both if problem.reference == "[[A]]" else both[::-1]


def test_the_better_answer_is_better() -> None:
    for problem in Preferences(kind="maths").generate(30, seed=1):
        a, b = map(int, re.findall(r"\d+", problem.task.metadata["request"]))
        finals = [int(re.findall(r"\d+", text)[-1]) for text in answers(problem)]
        assert finals[0] == a * b != finals[1]
    for problem in Preferences(kind="instruction").generate(30, seed=1):
        count = ["zero", "one", "two", "three", "four"].index(problem.task.metadata["request"].split()[2])
        sizes = [len(text.split(", ")) for text in answers(problem)]
        assert sizes[0] == count
        assert sizes[1] != count
    for problem in Preferences(kind="code").generate(30, seed=1):
        sums = []
        for text in answers(problem):
            space: dict = {}
            exec(text[text.index("def ") :], space)
            (made,) = (value for name, value in space.items() if name.startswith("sum_from"))
            sums.append(made(12))
        low = int(re.findall(r"sum_from_(\d+)", problem.task.metadata["request"])[0])
        said = re.findall(r"whole|squares|cubes", problem.task.metadata["request"])
        power = 1 + ["whole", "squares", "cubes"].index(said[0])
        assert sums[0] == sum(k**power for k in range(low, 13)) != sums[1]


def test_draws_are_seeded_and_hold_every_kind_level_and_order() -> None:
    problems = Preferences().generate(36, seed=3)
    assert problems == Preferences().generate(36, seed=3)
    assert problems[:9] == Preferences().generate(9, seed=3)
    assert problems != Preferences().generate(36, seed=4)
    assert {problem.task.metadata["subset"] for problem in problems} == set(KINDS)
    assert {problem.task.metadata["difficulty"] for problem in problems} == {1, 2, 3}
    assert {problem.reference for problem in problems} == {"[[A]]", "[[B]]"}
    assert {p.task.metadata["difficulty"] for p in Preferences(level=2).generate(9, seed=0)} == {2}


def test_turned_shows_the_same_pair_the_other_way() -> None:
    for problem in Preferences().generate(9, seed=0):
        other = turned(problem)
        assert turned(other) == problem
        assert other.reference != problem.reference
        assert answers(other) == answers(problem)
        assert other.task.metadata["pair"] == problem.task.metadata["pair"]
        assert other.task.id != problem.task.id
        assert problem.reference not in problem.task.metadata.values()  # gold stays beside the task


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(BadInput, match="same"):
        preference_problem("q", "a", " a ", chosen_first=True)
    with pytest.raises(BadInput, match="text each"):
        preference_problem("q", "a", " ", chosen_first=True)
    from ponder.tasks.medical_choice import MedicalChoice

    with pytest.raises(BadInput, match="no pair"):
        turned(MedicalChoice().generate(1, seed=0)[0])
    for wrong in ({"kind": "poems"}, {"level": 4}):
        with pytest.raises(ConfigError):
            Preferences(**wrong)
