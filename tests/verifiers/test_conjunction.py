"""The conjunction: all must accept, one rejects, one that cannot tell leaves it open."""

from __future__ import annotations

import pytest

from ponder import Request
from ponder.core.errors import ConfigError, UnknownName
from ponder.verifiers.conjunction import Conjunction
from tests.verifiers.judge_desk import desk, judged


def replies(verdict: str, score: str):
    def reply(request: Request, number: int) -> str:
        return score if "Score: N" in request.messages[-1].text else verdict

    return reply


@pytest.mark.parametrize(
    ("verdict", "score", "value"),
    [
        ("Verdict: [[Correct]]", "Score: 9", 1.0),
        ("Verdict: [[Correct]]", "Score: 5", 0.0),
        ("Verdict: [[Incorrect]]", "Score: 9", 0.0),
        ("Verdict: [[Correct]]", "hm", None),
        ("Verdict: [[Incorrect]]", "hm", 0.0),
        ("hm", "hm", None),
    ],
)
async def test_every_judge_counts(verdict: str, score: str, value: float | None) -> None:
    (found,) = await judged(Conjunction(), desk(replies(verdict, score)), "an answer")
    assert found.value == value
    assert "generative" in found.reason
    assert "judge" in found.reason


async def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError):
        Conjunction(judges=("judge",), above=(1.0, 2.0))
    with pytest.raises(ConfigError):
        Conjunction(judges=(), above=())
    with pytest.raises(ConfigError):
        Conjunction(judges=("conjunction",), above=(0.5,))
    with pytest.raises(UnknownName):
        await judged(Conjunction(judges=("nobody",), above=(0.5,)), desk(["x"]), "x")
