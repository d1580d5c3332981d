"""A long thought, pruned, and an answer from the rest (card 59): what goes, calls, faults."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import Budget, Request, Result, ScriptedModel, Task, solve
from ponder.core.errors import AccessDenied, ConfigError, ProviderError
from tests.verifiers.scoring_world import KeyWords

TASK = Task.of("How many apples are there?", answer="number")
TRACE = (
    "We count the bags and the apples.\n\n"
    "Wait, let me check the KEY number of bags.\n\n"
    "Wait, let me check the sky, which is blue.\n\n"
    "So there are 12 apples."
)


def reply(request: Request, number: int) -> str:
    return TRACE if len(request.messages) == 1 else "The answer is 12."


async def run(model: ScriptedModel | None = None, **options: Any) -> Result:
    options = {"least_words": 3, **options}
    return await solve(TASK, model=model or KeyWords(replies=reply), method="trace_compression", **options)


async def test_the_check_that_does_not_matter_goes_and_the_answer_comes_from_the_rest() -> None:
    seen: list[Request] = []

    def told(request: Request, number: int) -> str:
        seen.append(request)
        return reply(request, number)

    result = await run(KeyWords(replies=told))
    short = seen[1].messages[-2].text
    assert "KEY" in short
    assert "sky" not in short
    assert short == TRACE.replace("Wait, let me check the sky, which is blue.\n\n", "")
    assert (result.answer, result.chosen) == ("12", 1)
    assert result.usage["policy"].calls == 2
    assert result.usage["scorer"].calls == 3  # the whole trace, and once without each check
    assert result.candidates[0].metadata["kinds"] == ["P", "V", "V", "P"]
    assert result.candidates[0].metadata["kept"] == [0, 1, 3]
    assert "3 of 4 steps kept (importance by removal)" in result.detail


async def test_without_scores_the_latest_go_and_the_result_says_so() -> None:
    for model, options in ((ScriptedModel(replies=reply), {}), (None, {"importance": "order"})):
        result = await run(model, **options)
        assert result.candidates[0].metadata["kept"] == [0, 1, 3]
        assert result.candidates[0].metadata["importance"] == {}
        assert "nothing was scored" in result.detail
        assert "scorer" not in result.usage
    with pytest.raises(AccessDenied):
        await run(ScriptedModel(replies=reply), importance="scores")


async def test_where_nothing_goes_there_is_no_second_call() -> None:
    kept = await run(ratio=0.0)
    assert (kept.usage["policy"].calls, kept.answer) == (1, "12")
    plain = await run(ScriptedModel(replies=["3 * 4 = 12"]))
    assert (plain.cost.calls, plain.answer) == (1, "12")


async def test_arrival_and_the_most_steps() -> None:
    result = await run(way="arrival", steps=1, ratio=0.5)
    assert result.candidates[0].metadata["importance"] == {"2": 0.0}
    assert result.usage["scorer"].calls == 2
    whole = await run(ratio=1.0)  # both checks go, whatever they score
    assert whole.candidates[0].metadata["kept"] == [0, 3]
    assert "scorer" not in whole.usage
    none = await run(steps=0, ratio=1.0)
    assert none.cost.calls == 1


async def test_faults_keep_the_first_answer() -> None:
    lost = await run(KeyWords(replies=reply, error=ProviderError("lost"), breaks_after=0))
    assert "not all were scored: lost" in lost.detail
    assert (lost.chosen, lost.usage["policy"].calls) == (0, 1)

    def once(request: Request, number: int) -> str | ProviderError:
        return TRACE if len(request.messages) == 1 else ProviderError("no second answer")

    failed = await run(KeyWords(replies=once))
    assert (failed.answer, failed.chosen) == ("12", 0)
    broke = await run(budget=Budget(calls=2))
    assert (broke.answer, broke.stopped) == ("12", "budget")


@pytest.mark.parametrize(
    "wrong", [{"ratio": 2.0}, {"importance": "luck"}, {"way": "both"}, {"least_words": 0}, {"steps": -1}]
)
async def test_bad_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await run(**wrong)


async def test_a_model_can_label_what_has_no_marker() -> None:
    trace = (
        "We count the bags and apples.\n\nThe sum fits what the story says, so it is fine.\n\nSo there are 12 apples."
    )
    policy = KeyWords(replies=lambda request, number: trace if len(request.messages) == 1 else "The answer is 12.")
    labeler = ScriptedModel(replies=["1: progressive\n2: verification\n3: progressive"])
    by_rules = await run(policy, ratio=1.0, roles={"labeler": labeler})
    assert (by_rules.candidates[0].metadata["kinds"], by_rules.usage["policy"].calls) == (["P", "P", "P"], 1)
    asked = await run(policy, ratio=1.0, labels="model", roles={"labeler": labeler})
    assert asked.candidates[0].metadata["kinds"] == ["P", "V", "P"]
    assert asked.candidates[0].metadata["kept"] == [0, 2]
    assert asked.usage["labeler"].calls == 1
    unread = await run(policy, ratio=1.0, labels="model", roles={"labeler": ScriptedModel(replies=["hm"])})
    assert "not labelled by the model" in unread.detail
    assert unread.candidates[0].metadata["kinds"] == ["P", "P", "P"]
    ended = await run(policy, labels="model", roles={"labeler": labeler}, budget=Budget(calls=1))
    assert (ended.answer, ended.candidates[0].metadata["kept"]) == ("12", [0, 1, 2])
    with pytest.raises(ConfigError):
        await run(policy, labels="dice")
