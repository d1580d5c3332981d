from __future__ import annotations

from ponder import Request, Sampling, ScriptedModel, solve


async def test_greedy_makes_one_call_at_temperature_zero() -> None:
    seen: list[Request] = []

    def reply(request: Request, number: int) -> str:
        seen.append(request)
        return "42"

    result = await solve("q", model=ScriptedModel(replies=reply), method="greedy", sampling=Sampling(temperature=0.9))
    assert result.answer == "42"
    assert [request.sampling.temperature for request in seen] == [0.0]
    assert result.cost.calls == 1


async def test_greedy_answer_is_kept_even_where_nothing_can_be_read() -> None:
    from ponder import Task

    result = await solve(Task.of("q", answer="number"), model=ScriptedModel(replies=["none"]), method="greedy")
    assert (result.answer, result.text) == (None, "none")
