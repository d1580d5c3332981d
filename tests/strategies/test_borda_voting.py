from __future__ import annotations

from typing import Any

import pytest

from ponder import Completion, Message, ModelInfo, Result, ScriptedModel, Task, Usage, solve
from ponder.core.errors import ConfigError
from ponder.core.seeds import sample_seed
from ponder.strategies.borda_voting import rule_of_thumb

TASK = Task.of("How many?", answer="number")
# Card 26, check 4.
ANSWERS = ["7", "9", "9", "7", "7", "9", "none", "3"]
CONFIDENCES = [12.1, 15.0, 14.2, 11.0, 10.5, 13.0, 16.0, 15.5]


async def run(answers: list[str], confidences: list[float], **settings: Any) -> Result:
    replies = [
        Completion(
            message=Message("assistant", text),
            finish="stop",
            usage=Usage(calls=1, prompt_tokens=2, completion_tokens=1),
            certainty=(value,),
        )
        for text, value in zip(answers, confidences, strict=True)
    ]
    shift = sample_seed(0, 0, "sample", TASK.id) % len(replies)
    ordered = [replies[(k - shift) % len(replies)] for k in range(len(replies))]
    model = ScriptedModel(replies=ordered, info=ModelInfo(fingerprint="x"))
    return await solve(TASK, model=model, method="borda_voting", n=len(replies), **settings)


@pytest.mark.parametrize(("power", "answer"), [(0.0, "7"), (0.3, "9"), (0.5, "9"), (1.2, "9"), (2.0, "9"), (20.0, "3")])
async def test_winner_by_power_as_worked_out_in_the_card(power: float, answer: str) -> None:
    result = await run(ANSWERS, CONFIDENCES, power=power)
    assert result.answer == answer
    assert result.chosen == ANSWERS.index(answer)


async def test_nothing_readable_returns_the_most_certain_output_and_says_so() -> None:
    result = await run(["a", "b", "c"], [1.0, 3.0, 2.0])
    assert (result.answer, result.chosen) == (None, 1)
    assert "most certain output" in result.detail


def test_rule_of_thumb_is_the_papers_at_both_ends() -> None:
    assert [rule_of_thumb(n) for n in (1, 8, 16)] == [0.3, 0.3, 0.3]
    assert [rule_of_thumb(n) for n in (32, 64)] == pytest.approx([1.2, 1.2])
    assert 0.3 < rule_of_thumb(24) < 1.2


async def test_negative_power_is_refused() -> None:
    with pytest.raises(ConfigError):
        await run(ANSWERS, CONFIDENCES, power=-1.0)
