from __future__ import annotations

import pytest

from ponder import Budget, Candidate, Context, Message, Meter, ScriptedModel, Task, Trace
from ponder.core.errors import ConfigError
from ponder.core.model import Request
from ponder.engines.tree import Prefix
from ponder.verifiers.rollout_value import RolloutValue

TASK = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there?", answer="number")


def context(model: ScriptedModel, budget: Budget | None = None) -> Context:
    return Context(models={"policy": model}, meter=Meter(budget), trace=Trace())


def prefix(text: str, node: int = 0, *, finished: bool = False) -> Prefix:
    return Prefix(node=(node,), steps=(text,), finished=finished)


async def test_value_is_the_share_of_accepted_rollouts_and_they_are_paid_for() -> None:
    def reply(request: Request, number: int) -> str:
        assert request.prefix in ("good\n", "bad\n")
        return "12" if request.prefix == "good\n" and number % 4 else "7"

    ctx = context(ScriptedModel(replies=reply))
    scores = await RolloutValue().score_steps(TASK, [prefix("good\n"), prefix("bad\n", 1)], ctx)
    assert [score.value for score in scores] == [0.75, 0.0]
    assert ctx.meter.nominal["rollout"].calls == 8


async def test_finished_answer_is_judged_without_a_rollout() -> None:
    model = ScriptedModel()
    scores = await RolloutValue().score_steps(TASK, [prefix("it is 12", finished=True)], context(model))
    assert [score.value for score in scores] == [1.0]
    assert model.calls == 0
    whole = [Candidate(index=0, message=Message("assistant", "7"))]
    assert [score.value for score in await RolloutValue().score(TASK, whole, context(model))] == [0.0]


async def test_rollouts_that_cannot_be_judged_are_left_out_and_without_any_the_value_is_missing() -> None:
    ctx = context(ScriptedModel(replies=lambda r, n: ["12", "no idea", "7", "12"][n]))
    (score,) = await RolloutValue().score_steps(TASK, [prefix("so\n")], ctx)
    assert score.value == pytest.approx(2 / 3)
    (score,) = await RolloutValue().score_steps(TASK, [prefix("so\n")], context(ScriptedModel(replies=["no idea"])))
    assert score.value is None
    assert score.reason


async def test_prefix_beyond_the_budget_is_missing() -> None:
    ctx = context(ScriptedModel(replies=["12"]), Budget(calls=4))
    scores = await RolloutValue().score_steps(TASK, [prefix("a\n"), prefix("b\n", 1)], ctx)
    assert [score.value for score in scores] == [1.0, None]


async def test_values_do_not_depend_on_the_order_of_arrival() -> None:
    prefixes = [prefix("a\n"), prefix("b\n", 1)]
    replies = ["12", "7", "13"]
    quick = await RolloutValue().score_steps(TASK, prefixes, context(ScriptedModel(replies=replies)))
    slow = await RolloutValue().score_steps(
        TASK, prefixes, context(ScriptedModel(replies=replies, latency=(0.0, 0.01)))
    )
    assert quick == slow


@pytest.mark.parametrize("settings", [{"k": 0}, {"verifier": "rollout_value"}])
def test_impossible_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        RolloutValue(**settings)  # type: ignore[arg-type]
