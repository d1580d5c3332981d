from __future__ import annotations

from typing import Any

import pytest

from ponder import Budget, Message, ModelInfo, Result, ScriptedModel, Task, solve
from ponder.core.errors import ProviderError
from ponder.core.seeds import sample_seed

TASK = Task.of("How many?", answer="number")


async def run(replies: list[str], verdict: str | ProviderError, **options: Any) -> Result:
    shift = sample_seed(0, 0, "sample", TASK.id) % len(replies)
    policy = ScriptedModel(replies=[replies[(k - shift) % len(replies)] for k in range(len(replies))])
    judge = ScriptedModel(replies=[verdict], name="judge", info=options.pop("info", policy.info))
    result = await solve(
        TASK, model=policy, roles={"judge": judge}, method="universal_self_consistency", n=len(replies), **options
    )
    prompts = [call.prompt for call in judge.log]
    assert all(f"Response {k}:\n{text}" in prompt for prompt in prompts for k, text in enumerate(replies))
    return result


@pytest.mark.parametrize(
    ("verdict", "chosen"),
    [
        ("The most consistent response is Response 2", 2),
        ("Response 0 is wrong. The most consistent response is Response 1.", 1),
        ("I cannot tell", 0),
        ("Response 9", 0),
        ("response 2", 0),
    ],
)
async def test_last_named_response_is_chosen_else_the_first(verdict: str, chosen: int) -> None:
    result = await run(["1", "2", "3"], verdict)
    assert result.chosen == chosen
    assert result.usage["judge"].calls == 1
    assert result.usage["policy"].calls == 3


async def test_chosen_response_without_an_answer_gives_way_to_the_first_readable_one() -> None:
    assert (await run(["none", "2", "3"], "Response 0")).chosen == 1


@pytest.mark.parametrize("options", [{"budget": Budget(calls=3)}, {"info": ModelInfo(fingerprint="j", context=8)}])
async def test_judge_that_cannot_be_asked_leaves_the_first_readable_answer(options: dict[str, Any]) -> None:
    result = await run(["none", "2", "3"], "Response 2", **options)
    assert result.answer == "2"
    assert "could not choose" in result.detail


async def test_failing_judge_is_said_so() -> None:
    result = await run(["1", "2"], ProviderError("down"))
    assert (result.chosen, "down" in result.detail) == (0, True)


async def test_braces_in_question_and_responses_are_kept() -> None:
    task = Task.of([Message("user", "Write {x} as JSON.")])
    model = ScriptedModel(replies=['{"a": 1}'])
    result = await solve(task, model=model, method="universal_self_consistency", n=2)
    assert result.text == '{"a": 1}'


async def test_budget_that_refuses_the_judge_is_why_it_stopped() -> None:
    assert (await run(["1", "2"], "Response 1", budget=Budget(calls=2))).stopped == "budget"
