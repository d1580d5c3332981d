from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.tasks.knights_and_knaves import KnightsAndKnaves


def holds(words: str, speaker: str, kind: dict[str, bool]) -> bool:
    """Read a statement anew from its words."""
    if match := re.fullmatch(r"(\w+) is a (knight|knave)\.", words):
        return kind[match[1]] == (match[2] == "knight")
    if match := re.fullmatch(r"(\w+) and I are the same kind\.", words):
        return kind[match[1]] == kind[speaker]
    if match := re.fullmatch(r"(\w+) or I am a knave, or both of us are\.", words):
        return not kind[match[1]] or not kind[speaker]
    match = re.fullmatch(r"(\w+) and (\w+) are of different kinds\.", words)
    assert match is not None, words
    return kind[match[1]] != kind[match[2]]


def solutions(prompt: str) -> list[str]:
    said = re.findall(r'(\w+) says: "([^"]+)"', prompt)
    names = [name for name, _ in said]
    found = []
    for kinds in product((True, False), repeat=len(names)):
        kind = dict(zip(names, kinds, strict=True))
        if all(holds(words, name, kind) == kind[name] for name, words in said):
            found.append(", ".join(f"{name}: {'knight' if kind[name] else 'knave'}" for name in names))
    return found


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31))
def test_reference_is_the_only_solution_of_the_prompt(seed: int) -> None:
    for problem in KnightsAndKnaves().generate(6, seed):
        assert solutions(problem.task.prompt) == [problem.reference]
        shown = problem.task.messages[:-1]
        for question, answer in zip(shown[::2], shown[1::2], strict=True):
            assert solutions(question.text) == [answer.text]


def test_levels_have_more_people_each_and_bad_settings_are_refused() -> None:
    for level in (1, 2, 3):
        (problem,) = KnightsAndKnaves(level=level, shots=0).generate(1, seed=0)
        assert problem.task.prompt.count("says:") == level + 1
        assert len(problem.task.messages) == 1
    with pytest.raises(ConfigError):
        KnightsAndKnaves(shots=-1)
