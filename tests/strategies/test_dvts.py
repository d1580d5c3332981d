from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ponder import Budget, Result, ScriptedModel, solve
from ponder.core.errors import ConfigError
from ponder.core.model import Request
from tests.engines.step_worlds import TASK, ExactPrm, digit_model


async def run(method: str, model: ScriptedModel, prm: Any, **options: Any) -> Result:
    return await solve(TASK, model=model, method=method, verifier=prm, **options)


async def test_one_subtree_is_beam_search_with_one_survivor() -> None:
    # Card 13, check 3.
    options: dict[str, Any] = {"n": 5, "branch": 5, "seed": 2}
    beam = await run("beam_search", digit_model(depth=4), ExactPrm("0121"), **options)
    tree = await run("dvts", digit_model(depth=4), ExactPrm("0121"), **options)
    assert replace(tree, method=beam.method, settings=beam.settings) == beam


async def test_one_branch_is_sampling_without_guidance() -> None:
    # Card 13, check 3: as many answers as samples, the same whatever the verifier says.
    first = await run("dvts", digit_model(), ExactPrm("000"), n=8, branch=1)
    second = await run("dvts", digit_model(), ExactPrm("222"), n=8, branch=1)
    assert len(first.candidates) == 8
    assert [c.text for c in first.candidates] == [c.text for c in second.candidates]


async def test_each_subtree_gives_one_solution_and_keeps_its_best_step() -> None:
    result = await run("dvts", digit_model(depth=4, actions=2), ExactPrm("1010", 2), n=12, branch=4)
    assert len(result.candidates) == 3
    assert [c.metadata["node"][0] // 4 for c in result.candidates] == [0, 1, 2]
    assert result.answer == "1010"


async def test_subtrees_are_more_diverse_than_a_beam() -> None:
    options: dict[str, Any] = {"n": 16, "branch": 4}
    flat = ExactPrm("0", 3)  # nothing after the first step is worth anything: ties
    beam = await run("beam_search", digit_model(depth=4), flat, **options)
    trees = await run("dvts", digit_model(depth=4), flat, **options)
    assert len({c.metadata["node"][0] for c in trees.candidates}) > len(
        {c.metadata["node"][0] for c in beam.candidates}
    )


async def test_equal_steps_of_different_subtrees_are_no_duplicates() -> None:
    result = await run("dvts", digit_model(actions=1), ExactPrm("000", 1), n=4, branch=2)
    assert [c.text for c in result.candidates] == ["0\n0\nanswer 000"] * 2


async def test_unfinished_subtree_gives_no_solution() -> None:
    def reply(request: Request, number: int) -> str:
        if not request.prefix:
            return "1\n" if number else "answer 7"
        return "a step of far too many words for it\n"

    model = ScriptedModel(replies=reply)
    result = await run("dvts", model, "arithmetic", n=2, branch=1, step_tokens=3)
    assert [c.text for c in result.candidates] == ["answer 7"]
    assert model.calls == 2 + 4


async def test_rest_of_the_budget_is_shared_out() -> None:
    result = await run("dvts", digit_model(), ExactPrm("000"), n=7, branch=3)
    assert len(result.candidates) == 2
    assert result.cost.calls == 7 * 3
    short = await run("dvts", digit_model(depth=9), ExactPrm("0" * 9), n=8, branch=4, budget=Budget(calls=20))
    assert short.stopped == "budget"
    assert short.cost.calls == 20


@pytest.mark.parametrize("settings", [{"n": 0}, {"branch": 0}])
async def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await run("dvts", ScriptedModel(), ExactPrm("0"), **settings)
