"""Translation under a thinking budget: the card's counts, one "wait", no thinking, ends before the end."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import Budget, Request, Result, Sampling, ScriptedModel, solve, solve_sync
from ponder.core.errors import ConfigError
from ponder.core.model import Model
from ponder.tasks.translation import Translation

(PROBLEM,) = Translation(into="de").generate(1, seed=0)


def thinker(*pieces: int, translation: str = "Ein Satz.") -> ScriptedModel:
    """Thinks so many words, again as many as the next number says behind each "wait", then translates."""

    def reply(request: Request, number: int) -> str:
        if "</think>" in request.prefix or request.prefix.endswith("</thought>\n<output>\n"):
            return translation
        piece = pieces[min(request.prefix.count("wait"), len(pieces) - 1)]
        return " ".join(["x"] * piece)

    return ScriptedModel(replies=reply)


def translate(model: ScriptedModel, within: Budget | None = None, **settings: Any) -> Result:
    return solve_sync(PROBLEM.task, model=model, method="translation_scaling", budget=within, **settings)


def thought(result: Result) -> dict[str, Any]:
    (candidate,) = result.candidates
    assert candidate.message is not None
    return {**candidate.metadata, "reasoning": candidate.message.reasoning}


def test_a_model_that_stops_early_is_left_alone() -> None:
    found = thought(translate(thinker(4), thinking=10))
    assert (found["thinking_tokens"], found["cues"], found["thinking_finish"]) == (4, 0, "stop")


def test_a_model_that_never_stops_is_cut_at_the_budget() -> None:
    found = thought(translate(thinker(500), thinking=10))
    assert (found["thinking_tokens"], found["thinking_finish"]) == (10, "length")


def test_one_wait_is_forced_where_it_would_stop() -> None:
    result = translate(thinker(7, 4), thinking=20, wait=True)  # card 03, check 3: 12 thinking tokens
    found = thought(result)
    assert (found["thinking_tokens"], found["cues"]) == (12, 1)
    assert found["reasoning"].count("wait") == 1
    assert result.answer == "Ein Satz."
    assert result.cost.calls == 3


def test_a_thought_of_three_tokens_is_not_told_to_wait() -> None:
    found = thought(translate(thinker(3, 4), thinking=20, wait=True))
    assert (found["thinking_tokens"], found["cues"]) == (3, 0)


def test_after_a_wait_the_budget_still_cuts() -> None:
    found = thought(translate(thinker(7, 500), thinking=10, wait=True))
    assert (found["thinking_tokens"], found["cues"], found["thinking_finish"]) == (10, 1, "length")


def test_budget_0_translates_without_thinking() -> None:
    model = thinker(9)
    result = translate(model, thinking=0)
    assert model.calls == 1
    assert model.log[0].prompt.endswith("German:<think>\n\n</think>\n\n")
    assert result.usage["policy"].thinking_tokens == 0
    assert result.answer == "Ein Satz."


def test_a_translation_between_tags_of_its_own_ends_there() -> None:
    result = translate(thinker(3, translation="Ein Satz.</output> Note"), markers="thought", thinking=10)
    assert result.answer == "Ein Satz."


def test_a_budget_of_calls_that_ends_during_the_thought_is_said() -> None:
    result = translate(thinker(3), Budget(calls=1), thinking=10)
    assert (result.answer, result.stopped) == (None, "budget")


@pytest.mark.parametrize("wrong", [{"thinking": -1}, {"answer": 0}, {"markers": "none"}, {"guard": -1}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        translate(thinker(1), **wrong)


@pytest.mark.embedded
@pytest.mark.parametrize("thinking", [0, 16])
async def test_the_embedded_model_stays_within_its_budgets(embedded: Model, thinking: int) -> None:
    result = await solve(
        PROBLEM.task,
        model=embedded,
        method="translation_scaling",
        thinking=thinking,
        answer=20,
        wait=bool(thinking),
        sampling=Sampling(temperature=0.0),
    )
    found = thought(result)
    assert found["thinking_tokens"] <= thinking
    assert result.usage["policy"].completion_tokens <= thinking + 20
