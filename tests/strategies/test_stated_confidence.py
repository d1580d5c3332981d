"""One answer with its confidence: prompts of card 25, calls, abstention."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import Budget, Request, Result, Sampling, ScriptedModel, Task, solve
from ponder.core.errors import ConfigError

TASK = Task.of("How many {x} $y?", answer="number")


async def run(*replies: str, **options: Any) -> Result:
    return await solve(
        options.pop("task", TASK), model=ScriptedModel(replies=replies), method="stated_confidence", **options
    )


def confidence(result: Result) -> float | None:
    return result.candidates[0].scores["verbalized_confidence"].value


async def test_answer_and_confidence_come_from_one_call() -> None:
    result = await run("3 * 4 <answer>12</answer> <confidence>80%</confidence>")
    assert (result.answer, confidence(result), result.cost.calls) == ("12", 0.8, 1)
    result = await run("<answer>12</answer><confidence>0.8</confidence>", form="probability")
    assert (result.answer, confidence(result)) == ("12", 0.8)


@pytest.mark.parametrize(
    ("form", "said", "unsaid"),
    [("percent", "80%", "0.8<"), ("probability", "0.8", "80%"), ("reflection", "", "confid")],
)
async def test_each_form_has_its_prompt(form: str, said: str, unsaid: str) -> None:
    seen: list[str] = []

    def reply(request: Request, number: int) -> str:
        seen.append(request.messages[-1].text)
        return "<answer>12</answer><confidence>50%</confidence>"

    await solve(TASK, model=ScriptedModel(replies=reply), method="stated_confidence", form=form)
    assert "How many {x} $y?" in seen[0]
    assert "<answer>" in seen[0]
    assert said in seen[0]
    assert unsaid not in seen[0]


async def test_reflection_is_a_second_call_of_the_judge() -> None:
    policy = ScriptedModel(replies=["<answer>12</answer> <confidence>99%</confidence>"])
    judge = ScriptedModel(replies=["<confidence>30%</confidence>"])
    result = await solve(TASK, model=policy, roles={"judge": judge}, method="stated_confidence", form="reflection")
    assert (policy.calls, judge.calls, confidence(result), result.answer) == (1, 1, 0.3, "12")


async def test_fill_begins_the_reply_of_the_second_call_with_the_tag() -> None:
    judge = ScriptedModel(replies=["60%"])
    policy = ScriptedModel(replies=["<answer>12</answer>"])
    result = await solve(TASK, model=policy, roles={"judge": judge}, method="stated_confidence", form="fill")
    assert (policy.calls, judge.calls, confidence(result), result.answer) == (1, 1, 0.6, "12")


async def test_an_answer_that_is_trusted_too_little_is_withheld() -> None:
    low = await run("<answer>12</answer><confidence>40%</confidence>", abstain=0.5)
    assert (low.answer, confidence(low)) == (None, 0.4)
    assert low.candidates[0].metadata["withheld"] == "12"
    assert "40%" in low.detail
    high = await run("<answer>12</answer><confidence>50%</confidence>", abstain=0.5)
    assert high.answer == "12"
    silent = await run("<answer>12</answer>", abstain=0.0)
    assert silent.answer is None


async def test_saying_i_do_not_know_is_no_answer() -> None:
    text = Task.of("Who?", answer="text")
    result = await run("<answer>I don't know</answer><confidence>5%</confidence>", task=text)
    assert (result.answer, confidence(result)) == (None, 0.05)
    assert result.candidates[0].metadata["attempted"] is False
    untagged = await run("It is 12.")
    assert (untagged.answer, confidence(untagged)) == ("12", None)


async def test_a_budget_that_is_too_small_leaves_what_there_is() -> None:
    result = await run("<answer>12</answer>", form="reflection", budget=Budget(calls=1))
    assert result.stopped == "budget"
    assert (result.answer, confidence(result)) == ("12", None)


@pytest.mark.parametrize("wrong", [{"form": "words"}, {"abstain": 1.5}, {"reflection_tokens": 0}])
async def test_bad_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await run("12", **wrong)


@pytest.mark.embedded
async def test_a_small_model_is_asked_and_read(embedded: Any) -> None:
    for form in ("percent", "reflection", "fill"):
        result = await solve(
            Task.of("What is 3 times 4?", answer="number"),
            model=embedded,
            method="stated_confidence",
            form=form,
            reflection_tokens=50,
            sampling=Sampling(temperature=0.6, max_tokens=80),
        )
        assert result.cost.completion_tokens <= 130
        score = result.candidates[0].scores["verbalized_confidence"]
        assert score.value is not None or score.reason
        assert form != "fill" or score.value is not None
