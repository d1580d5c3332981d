"""One battery over every registered verifier."""

from __future__ import annotations

import json

import pytest

from ponder import Budget, Candidate, Context, Message, Meter, Score, ScriptedModel, Task, Trace
from ponder.core import registry
from ponder.core.registry import Entry, parameters

TASK = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there?", answer="number")
TEXTS = ["3 * 4 = 12", "", "no idea", "7", "x" * 1_000_000, "\x00 12 \ud800", "12", "\u2212" * 50]
ENTRIES = registry.verifiers.entries()


def entries() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])


def context(model: ScriptedModel, budget: Budget | None = None) -> Context:
    return Context(models={"policy": model}, meter=Meter(budget), trace=Trace(), method="test")


def candidates(texts: list[str] = TEXTS) -> list[Candidate]:
    return [Candidate(index=i, message=Message("assistant", text), finish="stop") for i, text in enumerate(texts)]


async def scores(entry: Entry, model: ScriptedModel, budget: Budget | None = None) -> list[Score]:
    ctx = context(model, budget)
    found: list[Score] = await entry.make().score(TASK, candidates(), ctx)
    assert ctx.meter.in_flight == 0
    return found


@entries()
async def test_verifier_gives_one_score_for_each_candidate_in_order(entry: Entry) -> None:
    found = await scores(entry, ScriptedModel(replies=["Score: 7"]))
    assert len(found) == len(TEXTS)
    assert all(isinstance(score, Score) for score in found)
    assert await entry.make().score(TASK, [], context(ScriptedModel())) == []


@entries()
async def test_verifier_gives_the_same_scores_for_the_same_seed(entry: Entry) -> None:
    quick, slow = ScriptedModel(replies=["Score: 7", "Score: 3"]), ScriptedModel(replies=["Score: 7", "Score: 3"])
    slow.latency = (0.0, 0.01)
    assert await scores(entry, quick) == await scores(entry, slow)


@entries()
@pytest.mark.parametrize("trouble", ["unreadable", "failing", "dead", "broke"])
async def test_score_that_cannot_be_had_is_missing_with_a_reason(entry: Entry, trouble: str) -> None:
    model = {
        "unreadable": ScriptedModel(replies=["I would rather not say."]),
        "failing": ScriptedModel(fail_every=1),
        "dead": ScriptedModel(dies_after=0),
        "broke": ScriptedModel(replies=["Score: 7"]),
    }[trouble]
    asks = bool(entry.access)
    for score in await scores(entry, model, Budget(tokens=1) if trouble == "broke" else None):
        if asks:
            assert score.value is None
        if score.value is None:
            assert score.reason


@entries()
async def test_verifier_survives_a_round_trip_of_its_settings(entry: Entry) -> None:
    verifier = entry.make()
    assert entry.make(**json.loads(json.dumps(parameters(verifier)))) == verifier
