"""One battery over every registered method (STYLE S25): the file of a new method is picked up by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ponder import Access, Budget, Control, Result, ScriptedModel, Task, solve
from ponder.core import registry
from ponder.core.errors import ConfigError
from ponder.core.registry import Entry, parameters

TASK = Task.of("Ann has 3 bags with 4 apples each. How many apples are there?", answer="number")
REPLIES = ["3 * 4 = 12", "The answer is 12.", "7", "no idea", "It is 3 + 4 = 7", "12"]
ENTRIES = registry.strategies.entries()


def entries() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])


async def run(entry: Entry, model: ScriptedModel | None = None, **options: Any) -> Result:
    if "verifier" in entry.needs:
        options.setdefault("verifier", "arithmetic")
    return await solve(TASK, model=model or ScriptedModel(replies=REPLIES), method=entry.name, **options)


@entries()
async def test_method_answers_with_the_evidence(entry: Entry) -> None:
    result = await run(entry)
    assert result.stopped in ("done", "agreement")
    assert result.chosen is not None
    assert result.candidates[result.chosen].ok
    assert result.method == entry.name
    assert result.cost.calls >= 1
    assert result.cost.exact


@entries()
async def test_method_keeps_the_budget(entry: Entry) -> None:
    for budget in (Budget(calls=3), Budget(tokens=70), Budget(completion_tokens=9), Budget(flops=300.0)):
        result = await run(entry, ScriptedModel(replies=REPLIES, latency=(0.0, 0.005)), budget=budget)
        for unit, limit in budget.limits().items():
            spent = getattr(result.cost, unit)
            assert spent is not None
            assert spent <= limit
        assert result.stopped in ("done", "agreement", "budget")


@entries()
async def test_method_gives_the_same_result_for_the_same_seed(entry: Entry) -> None:
    options: dict[str, Any] = {"budget": Budget(calls=16), "seed": 7}
    first = await run(entry, ScriptedModel(replies=REPLIES), **options)
    second = await run(entry, ScriptedModel(replies=REPLIES, latency=(0.0, 0.01)), **options)
    assert first == second


@entries()
async def test_method_survives_failing_calls(entry: Entry) -> None:
    result = await run(entry, ScriptedModel(replies=REPLIES, fail_every=2))
    assert result.stopped in ("done", "agreement", "endpoint", "budget")
    failed = [c for c in result.candidates if c.error is not None]
    assert all(c.answer is None and c.message is None for c in failed)
    if result.chosen is not None:
        assert result.candidates[result.chosen].ok


@entries()
async def test_method_survives_a_dead_endpoint(entry: Entry) -> None:
    result = await run(entry, ScriptedModel(dies_after=0))
    assert (result.stopped, result.answer, result.chosen) == ("endpoint", None, None)


@entries()
async def test_method_ends_on_cancel_with_every_call_settled(entry: Entry) -> None:
    control = Control()

    def cancel(event: Any) -> None:
        if event.kind == "call" and event.phase == "open":
            control.cancel()

    model = ScriptedModel(replies=REPLIES, latency=30)
    result = await run(entry, model, control=control, watch=cancel)
    assert result.stopped == "cancelled"
    assert not result.deterministic


@entries()
async def test_method_survives_a_round_trip_of_its_settings_and_result(entry: Entry) -> None:
    method = entry.make()
    assert entry.make(**json.loads(json.dumps(parameters(method)))) == method
    body = json.loads(json.dumps((await run(entry)).to_json()))
    assert body["method"] == entry.name
    assert len(body["candidates"]) == len((await run(entry)).candidates)


@entries()
async def test_method_refuses_a_model_without_access(entry: Entry) -> None:
    model = ScriptedModel(access=frozenset())
    with pytest.raises(ConfigError):
        await run(entry, model)
    assert model.calls == 0


@entries()
async def test_method_declares_its_most_calls(entry: Entry) -> None:
    most = entry.make().calls()
    result = await run(entry)
    for role, usage in result.usage.items():
        assert usage.calls <= most.get(role, 0)


@entries()
async def test_method_never_sees_more_access_than_it_declares(entry: Entry) -> None:
    model = ScriptedModel(replies=REPLIES, access=entry.access | {Access.SEED})
    assert (await run(entry, model)).chosen is not None
