from __future__ import annotations

import pytest

from ponder import Budget, Candidate, Context, Message, Meter, ScriptedModel, Task, Trace
from ponder.core.errors import ConfigError
from ponder.core.model import Request
from ponder.engines.tree import Prefix
from ponder.verifiers.self_evaluation import SelfEvaluation, read_verdict

TASK = Task.of("What is 2 + 2?", answer="number")


def context(model: ScriptedModel, budget: Budget | None = None) -> Context:
    return Context(models={"policy": model}, meter=Meter(budget), trace=Trace())


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("It holds.\nVerdict: right", True),
        ("**Verdict:** wrong.", False),
        ("verdict = Right", True),
        ("Verdict: right\nVerdict: wrong", None),
        ("Verdict: right\nso\nVerdict: right", True),
        ("The verdict: right or wrong?", None),
        ("Verdict: rightly so", None),
        ("right", None),
        ("", None),
    ],
)
def test_verdict_is_read_strictly(text: str, verdict: bool | None) -> None:
    assert read_verdict(text) is verdict


async def test_prefixes_are_shown_as_unfinished_and_answers_as_complete() -> None:
    def reply(request: Request, number: int) -> str:
        prompt = request.messages[0].text
        assert "What is 2 + 2?" in prompt
        good = "not complete" in prompt if "2 + 2 = 4\n" in prompt else "is complete" in prompt
        return "Verdict: right" if good else "Verdict: wrong"

    ctx = context(ScriptedModel(replies=reply))
    prefixes = [
        Prefix(node=(0,), steps=("2 + 2 = 4\n",), finished=False),
        Prefix(node=(1,), steps=("it is 4",), finished=True),
        Prefix(node=(2,), steps=("it is 5",), finished=False),
    ]
    assert [s.value for s in await SelfEvaluation().score_steps(TASK, prefixes, ctx)] == [1.0, 1.0, 0.0]
    answers = [Candidate(index=0, message=Message("assistant", "it is 4"))]
    assert [s.value for s in await SelfEvaluation().score(TASK, answers, ctx)] == [1.0]
    assert list(ctx.meter.nominal) == ["judge"]


async def test_value_is_the_share_of_right_among_readable_verdicts() -> None:
    model = ScriptedModel(replies=lambda r, n: ["Verdict: right", "hm", "Verdict: wrong", "Verdict: right"][n])
    (score,) = await SelfEvaluation(samples=4, temperature=0.7).score_steps(
        TASK, [Prefix(node=(0,), steps=("x",), finished=False)], context(model)
    )
    assert score.value == pytest.approx(2 / 3)


async def test_verdict_beyond_the_budget_is_missing() -> None:
    prefixes = [Prefix(node=(k,), steps=(str(k),), finished=False) for k in range(3)]
    ctx = context(ScriptedModel(replies=["Verdict: right"]), Budget(calls=2))
    scores = await SelfEvaluation().score_steps(TASK, prefixes, ctx)
    assert [score.value for score in scores] == [1.0, 1.0, None]
    assert "budget" in scores[2].reason


@pytest.mark.parametrize("settings", [{"samples": 0}, {"samples": 2}, {"max_tokens": 0}, {"temperature": -1.0}])
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        SelfEvaluation(**settings)  # type: ignore[arg-type]
