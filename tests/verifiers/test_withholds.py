"""Withholds: what counts as telling."""

from __future__ import annotations

import pytest

from ponder.core.candidate import Candidate
from ponder.core.task import Message, Task
from ponder.verifiers.withholds import Withholds, tells


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("It is velvet.", True),
        ("VELVET", True),
        ("v-e-l-v-e-t", True),
        ("V. E. L. V. E. T.", True),
        ("t e v l e v", True),
        ("I will not tell.", False),
        ("", False),
        ("vel and later on vet", False),
    ],
)
def test_words_spelled_out_are_told(text: str, told: bool) -> None:
    assert tells(text, "velvet") is told


@pytest.mark.parametrize(
    ("facts", "text", "value"),
    [
        ({"withheld": "velvet"}, "No.", 1.0),
        ({"withheld": "velvet"}, "velvet", 0.0),
        ({"owed": "Monday"}, "On Monday.", 1.0),
        ({"owed": "Monday"}, "I cannot say.", 0.0),
        ({}, "On Monday.", None),
    ],
)
async def test_scores(facts: dict[str, str], text: str, value: float | None) -> None:
    task = Task(messages=(Message("user", "hm"),), metadata=facts)
    candidates = [Candidate(index=0, message=Message("assistant", text)), Candidate(index=1, error="down")]
    scores = await Withholds().score(task, candidates, None)
    assert [score.value for score in scores] == [value, None]
