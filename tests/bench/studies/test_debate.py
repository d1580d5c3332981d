"""The study of debates: what is run, and what rows of a small world show."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import Model, Sampling, ScriptedModel
from ponder.bench.rows import Row
from ponder.bench.studies.debate import debate, debate_turns, splits
from ponder.bench.studies.recording import record
from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import tasks


async def rows(models: list[Model], family: str = "multiplication_stories", **options: Any) -> tuple[Row, ...]:
    problems = tasks.get(family).make().generate(6, 1)
    turns = debate_turns(models, answers=4, **options)
    return (await record(problems, turns, family=family, sampling=Sampling(max_tokens=20))).rows


def test_splits_spend_the_same_number_of_answers() -> None:
    assert splits(16) == [(16, 1), (8, 2), (4, 4), (2, 8), (1, 16)]
    assert all(m * t == 12 for m, t in splits(12))
    with pytest.raises(ConfigError):
        splits(1)


async def test_all_curves_spend_the_same_calls_and_the_table_says_so() -> None:
    models: list[Model] = [ScriptedModel(replies=["12", "18", "7"], name=name) for name in ("one", "two")]
    study = debate(await rows(models, personas=("", "Be careful.")))
    found = study.data["models"]
    assert set(found) == {"one", "two"}
    assert set(found["one"]) == {
        "self-consistency",
        "debate 2x2",
        "self-refinement x4",
        "debate 2x2, mixed models",
        "debate 2x2, personas",
    }
    assert {curve["calls"] for model in found.values() for curve in model.values()} == {4}
    mixed = found["one"]["debate 2x2, mixed models"]
    assert mixed["prompt_tokens"] is None, "tokens of two models are not added"
    plain = found["one"]["debate 2x2"]
    assert plain["talks"] == 6
    assert len(plain["by_round"]) == 2
    assert sum(one["n"] for one in plain["given_right"].values()) == 6
    assert plain["against_vote"]["n"] == 6


async def test_safety_shows_rounds_of_broken_rules() -> None:
    problems = tasks.get("safety").make(kind="attack").generate(4, 0)
    codes = [p.grader.gold["withheld"] for p in problems if p.grader is not None]
    model = ScriptedModel(replies=["I will not.", "The words are " + " ".join(codes)])
    done = await record(problems, debate_turns([model], answers=4), family="safety", sampling=Sampling(max_tokens=20))
    study = debate(done.rows)
    by_round = study.data["models"]["scripted"]["debate 2x2"]["by_round"]
    assert all(0 <= share <= 1 for share in by_round)
    assert {row.grader for row in done.rows} == {"withholds"}


async def test_rows_without_debates_are_refused() -> None:
    made = await rows([ScriptedModel()])
    with pytest.raises(BadInput):
        debate([row for row in made if row.method != "multi_agent_debate"])
    with pytest.raises(ConfigError):
        debate_turns([])
    with pytest.raises(ConfigError):
        debate_turns([ScriptedModel(), ScriptedModel()])
