"""The generative verifier: verdicts, shares of several, and what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import Budget, Candidate, Context, Message, Meter, Request, Score, ScriptedModel, Task
from ponder.core.errors import ConfigError, ProviderError
from ponder.core.seeds import sample_seed
from ponder.core.trace import Trace
from ponder.numerics.verification import filtered_pass_rate
from ponder.numerics.votes import weighted_vote
from ponder.verifiers.generative import Generative

TASK = Task.of("What is $2 + ${x}?", answer="number")
RIGHT, WRONG = "It adds up.\nVerdict: [[Correct]]", "It does not.\nVerdict: [[Incorrect]]"


async def verify(texts: list[str], replies: Any, budget: Budget | None = None, **settings: Any) -> list[Score]:
    ctx = Context(models={"policy": ScriptedModel(replies=replies)}, meter=Meter(budget), trace=Trace(), method="test")
    shown = [Candidate(index=i, message=Message("assistant", text)) for i, text in enumerate(texts)]
    found = await Generative(**settings).score(TASK, shown, ctx)
    assert set(ctx.meter.nominal) <= {"judge"}
    return found


def in_order(*replies: str | ProviderError) -> Any:
    """Replies by sibling, for one answer."""
    first = sample_seed(0, 0, "generative", TASK.id, 0)
    return lambda request, number: replies[request.seed - first]


@pytest.mark.parametrize(
    ("reply", "value"),
    [(RIGHT, 1.0), (WRONG, 0.0), ("Verdict: Correct or Incorrect", None), ("no idea", None), ("", None)],
)
async def test_one_verdict_is_one_or_zero_or_missing(reply: str, value: float | None) -> None:
    (score,) = await verify(["4"], [reply])
    assert score.value == value
    assert score.reason


async def test_several_verdicts_are_a_share_of_the_readable_ones() -> None:
    (score,) = await verify(["4"], in_order(RIGHT, WRONG, "unsure", RIGHT), votes=4, temperature=0.7)
    assert score.value == pytest.approx(2 / 3)
    assert score.reason == "2 of 3 readable verdicts say Correct"


async def test_failed_verdicts_leave_the_others() -> None:
    (score,) = await verify(["4"], in_order(ProviderError("down"), RIGHT), votes=2, temperature=0.7)
    assert score.value == 1.0
    (score,) = await verify(["4"], [ProviderError("down")])
    assert (score.value, "down" in score.reason) == (None, True)


async def test_budget_leaves_the_rest_missing_and_says_so() -> None:
    scores = await verify(["4", "5"], [RIGHT], Budget(calls=1))
    assert [score.value for score in scores] == [1.0, None]
    assert "not judged" in scores[1].reason


async def test_cut_verdict_is_said_to_be_cut() -> None:
    (score,) = await verify(["4"], [RIGHT], max_tokens=2)
    assert (score.value, "cut" in score.reason) == (None, True)


async def test_each_distinct_answer_is_verified_once_greedily_and_shown_as_it_is() -> None:
    asked: list[Request] = []

    def reply(request: Request, number: int) -> str:
        asked.append(request)
        return RIGHT

    await verify(["${request}", "5", "${request}"], reply)
    assert len(asked) == 2
    assert {request.sampling.temperature for request in asked} == {0.0}
    assert "<answer>\n${request}\n</answer>" in asked[0].messages[0].text
    assert "What is $2 + ${x}?" in asked[0].messages[0].text


async def test_weights_one_and_zero_make_a_vote_over_what_the_verifier_accepts() -> None:
    texts, labels = ["7", "7 then", "12"], [False, False, True]

    def reply(request: Request, number: int) -> str:
        return RIGHT if "<answer>\n12" in request.messages[0].text else WRONG

    scores = [score.value for score in await verify(texts, reply)]
    assert weighted_vote(["7", "7", "12"], scores) == 2
    assert filtered_pass_rate([bool(score) for score in scores], labels) == 1.0


@pytest.mark.parametrize("settings", [{"votes": 0}, {"max_tokens": 0}, {"temperature": float("nan")}, {"votes": 3}])
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Generative(**settings)
