from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.tasks.lookup import Lookup


def follow(facts: list[str], question: str) -> str:
    """Answer a question from its facts."""
    known = {}
    for fact in facts:
        subject, relation, other = re.fullmatch(r"(\w+)'s (\w+) is (\w+)\.", fact).groups()  # type: ignore[union-attr]
        assert (subject, relation) not in known
        known[subject, relation] = other
    name, *relations = question.removeprefix("Who is ").removesuffix("?").split("'s ")
    for relation in relations:
        name = known[name, relation]
    return name


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31))
def test_reference_is_found_by_following_the_facts(seed: int) -> None:
    for problem in Lookup().generate(6, seed):
        *facts, question = problem.task.prompt.split("\n")
        assert question.count("'s ") == problem.task.metadata["difficulty"]
        assert problem.reference == f"{question[7:-1]} is {follow(facts, question)}."
        for shown, answer in zip(problem.task.messages[:-1:2], problem.task.messages[1::2], strict=True):
            *facts, question = shown.text.split("\n")
            assert answer.text == f"{question[7:-1]} is {follow(facts, question)}."


def test_corpus_can_stand_in_the_metadata() -> None:
    for problem in Lookup(corpus="metadata", facts=50).generate(6, seed=0):
        facts = problem.task.metadata["documents"]
        assert len(facts) == 50
        question = problem.task.prompt.removesuffix(" Reply with the name alone.")
        assert follow(list(facts), question) == problem.reference
        assert not any(fact in problem.task.prompt for fact in facts)


def test_bad_settings_are_refused() -> None:
    for wrong in ({"facts": 2}, {"facts": 201}, {"corpus": "disk"}, {"shots": -1}):
        with pytest.raises(ConfigError):
            Lookup(**wrong)
    assert Lookup(level=1, facts=1).generate(1, seed=0)
