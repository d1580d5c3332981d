"""Budget forcing on scripted models: calls, tokens, closing, votes, and ends before the end."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import Budget, Result, Sampling, ScriptedModel, Task, solve, solve_sync
from ponder.core.access import Access
from ponder.core.errors import AccessDenied, ConfigError, ProviderError
from ponder.core.model import Model, Request
from ponder.models.openai import OpenAI
from tests.models.fault_server import FaultServer


def thinker(*pieces: str, answer: str = "42") -> ScriptedModel:
    """Thinks piece by piece, then answers."""

    def reply(request: Request, number: int) -> str:
        if "</think>" in request.prefix:
            return answer
        return pieces[min(request.prefix.count("Wait"), len(pieces) - 1)]

    return ScriptedModel(replies=reply)


def ask(model: ScriptedModel, within: Budget | None = None, **settings: Any) -> Result:
    task = Task.of("How many?", answer="number")
    return solve_sync(task, model=model, method="budget_forcing", budget=within, **settings)


def _thought(result: Result) -> str | None:
    message = result.candidates[0].message
    assert message is not None
    return message.reasoning


def test_one_thought_is_one_call_and_its_answer_another() -> None:
    model = thinker("a b c")
    result = ask(model)
    assert result.answer == "42"
    assert model.calls == 2
    assert _thought(result) == "a b c\n"
    assert result.usage["policy"].thinking_tokens == 3
    assert result.usage["policy"].completion_tokens == 4
    assert [call.prompt.split("How many?")[1] for call in model.log] == ["<think>\n", "<think>\na b c\n</think>\n\n"]


def test_cues_continue_the_thought_and_count() -> None:
    model = thinker("a b c", "d e", "f")
    result = ask(model, cues=2, thinking=16)
    (candidate,) = result.candidates
    assert _thought(result) == "a b c Waitd e Waitf\n"
    assert candidate.metadata["thinking_tokens"] == 8
    assert candidate.metadata["cues"] == 2
    assert model.calls == 4


def test_a_thought_that_is_cut_is_closed_by_the_prefix_of_an_answer() -> None:
    model = thinker("a b c d e f g h")
    result = ask(model, thinking=4, cues=3)
    assert result.candidates[0].metadata["thinking_finish"] == "length"
    assert model.log[-1].prompt.endswith("a b c d\n</think>\n\nFinal answer: ")
    assert result.answer == "42"


def test_several_thoughts_vote() -> None:
    said = iter(["1", "2", "2"])

    def reply(request: Request, number: int) -> str:
        return next(said) if "</think>" in request.prefix else "hm"

    result = ask(ScriptedModel(replies=reply), n=3)
    assert result.answer == "2"
    assert len(result.candidates) == 3


def test_a_budget_that_ends_during_the_thought_is_said() -> None:
    result = ask(thinker("a b c"), Budget(calls=1))
    assert result.answer is None
    assert result.stopped == "budget"
    assert _thought(result) == "a b c\n"


def test_scratchpad_asks_for_notes() -> None:
    model = ScriptedModel(replies=lambda request, _: "7" if request.prefix.endswith("Answer: ") else "3 + 4\nAnswer: 9")
    result = ask(model, markers="scratchpad")
    assert result.answer == "7"
    assert "First write short notes" in model.log[0].prompt


def test_a_model_that_cannot_continue_a_prefix_is_refused() -> None:
    with pytest.raises(AccessDenied, match="prefix"):
        ask(ScriptedModel(access=frozenset({Access.TEXT, Access.SEED})))


def test_when_every_thought_fails_the_reason_is_there() -> None:
    result = ask(ScriptedModel(replies=[ProviderError("broken")]), n=2)
    assert result.answer is None
    assert result.stopped == "endpoint"
    assert "broken" in result.detail


@pytest.mark.parametrize("wrong", [{"n": 0}, {"answer": 0}, {"thinking": 0}, {"markers": "none"}])
def test_settings_without_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ask(thinker("a"), **wrong)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_result() -> None:
    assert ask(thinker("a b", " c"), cues=1) == ask(thinker("a b", " c"), cues=1)


@pytest.mark.embedded
async def test_the_embedded_model_stays_within_its_thinking_budget(embedded: Model) -> None:
    task = Task.of("Tom has 3 boxes with 4 pens each. How many pens are there?", answer="number")
    result = await solve(
        task, model=embedded, method="budget_forcing", thinking=24, cues=1, answer=24, sampling=Sampling(max_tokens=40)
    )
    (candidate,) = result.candidates
    assert 0 < candidate.metadata["thinking_tokens"] <= 24
    assert result.usage["policy"].completion_tokens <= 24 + 24
    assert result.usage["policy"].calls == 2 + candidate.metadata["cues"]


async def test_on_a_server_the_assistants_turn_is_continued_with_stop_strings() -> None:
    async with FaultServer(continues=True) as server:
        model = OpenAI.from_spec(f"{server.url}#stub", kind="vllm")
        result = await solve("How many?", model=model, method="budget_forcing", thinking=500, cues=1, answer=9)
        await model.close()
    first, waited, answered = server.seen
    opened = [body["messages"][-1] for body in server.seen]
    assert [turn["role"] for turn in opened] == ["assistant"] * 3
    assert opened[0]["content"] == "<think>\n"
    assert opened[1]["content"].rstrip().endswith("Wait")
    assert "</think>" in opened[2]["content"]
    assert opened[2]["content"].startswith(opened[1]["content"])
    assert all(body["continue_final_message"] is True for body in server.seen)
    assert first["stop"] == waited["stop"] == ["</think>"]
    assert "stop" not in answered
    assert (first["max_tokens"], answered["max_tokens"]) == (500, 9)
    assert waited["max_tokens"] < 499  # less what was thought, and the cue
    candidate = result.candidates[0]
    assert candidate.metadata["cues"] == 1
    assert candidate.metadata["thinking_tokens"] == 500 - waited["max_tokens"] + 1
    assert result.answer == "four"
