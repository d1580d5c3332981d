"""Verdicts: the last one behind the thought, or none."""

from __future__ import annotations

import pytest

from ponder.verifiers.answers.verdict import VerdictAnswer


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("[[A]]", "A"),
        ("First I took [[A]], but it is [[B]].", "B"),
        ("<think>[[A]]</think>\n\n[[B]]", "B"),
        ("so [[A]] it is</think>[[B]]", "B"),
        ("<think>[[A]]</think>\n\nI cannot say", None),
        ("<think>[[A]] and so on", None),
        ("[[a]]", None),
        ("A", None),
        ("[[C]]", None),
        ("", None),
    ],
)
def test_the_last_verdict_behind_the_thought_counts(text: str, letter: str | None) -> None:
    assert VerdictAnswer().extract(text) == letter


async def test_letters_are_compared() -> None:
    assert await VerdictAnswer().same("A", "A")
    assert not await VerdictAnswer().same("A", "B")
