"""The engine of rounds: who sees what, what is counted where a reply fails, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import Budget, Request, Result, ScriptedModel, Task, solve
from ponder.core.candidate import Candidate
from ponder.core.errors import ProviderError
from ponder.core.task import Message
from ponder.engines.rounds import Agent, Talk, instructed

TASK = Task.of("2+3?", answer="number")


def test_an_instruction_stands_before_what_the_system_says() -> None:
    agent = Agent(persona="Be careful.")
    assert instructed(TASK.messages, Agent()) == TASK.messages
    assert instructed(TASK.messages, agent)[0] == Message("system", "Be careful.")
    chat = (Message("system", "Be kind."), *TASK.messages)
    assert instructed(chat, agent) == (Message("system", "Be careful.\n\nBe kind."), *TASK.messages)


def talk(places: list[list[int | None]], groups: list[int | None], stopped: Any = "done") -> Talk:
    made = [Candidate(index=k, message=Message("assistant", "x"), finish="stop") for k in range(len(groups))]
    return Talk(candidates=tuple(made), places=tuple(map(tuple, places)), groups=tuple(groups), stopped=stopped)


def test_the_last_readable_round_votes() -> None:
    assert talk([[0, 1], [2, 3]], [0, 1, 0, None]).voters() == (2, 3)
    assert talk([[0, 1], [2, 3]], [0, None, None, None]).voters() == (0, 1)
    assert talk([[0, 1]], [None, None]).voters() == (0, 1)
    assert talk([[None, None]], []).voters() == ()


def test_in_a_round_that_was_broken_off_the_silent_speak_by_their_last_reply() -> None:
    places: list[list[int | None]] = [[0, 1], [2, None]]
    assert talk(places, [0, 1, 1], "budget").voters() == (2, 1)
    assert talk(places, [0, 1, 1]).voters() == (2,)


async def run(model: ScriptedModel, **options: Any) -> Result:
    return await solve(TASK, model=model, method="multi_agent_debate", **options)


async def test_a_failed_reply_is_kept_and_shown_to_nobody() -> None:
    seen: list[str] = []

    def reply(request: Request, number: int) -> str | ProviderError:
        seen.append(request.messages[-1].text)
        return ProviderError("no") if number == 1 else f"it is {number}"

    result = await run(ScriptedModel(replies=reply), agents=2, rounds=2)
    assert [c.ok for c in result.candidates] == [True, False, True, True]
    assert "it is 0" in seen[3]
    assert not any("None" in text for text in seen)
    assert "Yours" not in seen[3], "agent 1 has nothing of its own to see"


async def test_all_failing_at_first_is_a_failure() -> None:
    result = await run(ScriptedModel(replies=[ProviderError("down")]), agents=2, rounds=2)
    assert (result.stopped, result.answer) == ("endpoint", None)


@pytest.mark.parametrize("calls", range(1, 7))
async def test_a_budget_that_ends_in_a_round_gives_the_best_so_far(calls: int) -> None:
    result = await run(ScriptedModel(replies=["5"]), agents=2, rounds=3, budget=Budget(calls=calls))
    assert result.cost.calls == calls
    assert result.answer == "5"
    assert result.stopped == ("done" if calls == 6 else "budget")
