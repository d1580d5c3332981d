from __future__ import annotations

from dataclasses import replace

import pytest

from ponder import Budget, ScriptedModel, solve
from ponder.core.errors import AccessDenied, ConfigError
from ponder.core.model import Request
from ponder.tasks.arithmetic_chains import ArithmeticChains
from ponder.training.rollouts import Rollouts
from ponder.verifiers.prm_features import STEP_FEATURES
from tests.training.prm_world import ScoringModel, work_out, world

BRIEF = Rollouts(solutions=1, k=2, features="certainty")
(PROBLEM,) = ArithmeticChains().generate(1, seed=0)


async def test_each_prefix_has_its_completions_and_the_end_has_itself() -> None:
    result = await solve(PROBLEM.task, model=world(), method=Rollouts(solutions=3, k=5, features="certainty"))
    assert result.answer is None
    texts = [candidate.text for candidate in result.candidates]
    for candidate in result.candidates:
        steps, rollouts = candidate.metadata["steps"], candidate.metadata["rollouts"]
        assert "".join(steps) == candidate.text
        for count, wholes in enumerate(rollouts[:-1], 1):
            own = [text for text in texts if text.startswith("".join(steps[:count]))]
            assert wholes[: len(own)] == own  # a solution is a roll-out of its prefixes
            assert len(wholes) == len(own) + 5
        assert rollouts[-1] == [candidate.text]
        for count, wholes in enumerate(rollouts, 1):
            assert all(whole.startswith("".join(steps[:count])) for whole in wholes)
        assert [len(vector) for vector in candidate.metadata["seen"]] == [STEP_FEATURES] * 3


async def test_without_more_rollouts_the_solutions_are_all_there_is() -> None:
    model = world()
    result = await solve(PROBLEM.task, model=model, method=Rollouts(solutions=6, features="certainty"))
    assert model.calls == 6
    texts = [candidate.text for candidate in result.candidates]
    for candidate in result.candidates:
        first, *_, last = candidate.metadata["rollouts"]
        assert first == [text for text in texts if text.startswith(candidate.metadata["steps"][0])]
        assert last == [candidate.text]


async def test_shared_prefix_is_rolled_out_once_and_every_call_is_metered() -> None:
    text = "1 + 1 = 2\n2 + 1 = 3"
    model = ScoringModel(replies=lambda request, number: text.removeprefix(request.prefix))
    result = await solve(PROBLEM.task, model=model, method=Rollouts(solutions=4, k=3, features="certainty"))
    assert model.calls == 4 + 3  # one prefix that is no end, for all four solutions
    assert result.usage["policy"].calls == 7
    assert result.usage["prm"].calls == 1  # equal solutions are read once
    assert [len(wholes) for wholes in result.candidates[0].metadata["rollouts"]] == [4 + 3, 1]
    assert result.usage["prm"].prompt_tokens > 0


async def test_step_cut_by_the_token_limit_is_dropped() -> None:
    def reply(request: Request, number: int) -> str:
        return work_out(request, number) + " and so on" * 500

    result = await solve(PROBLEM.task, model=ScoringModel(replies=reply), method=BRIEF)
    assert [len(wholes) for wholes in result.candidates[0].metadata["rollouts"]] == [3, 3]
    deep = await solve(PROBLEM.task, model=world(), method=replace(BRIEF, depth=1))
    assert [len(wholes) for wholes in deep.candidates[0].metadata["rollouts"]] == [3]


async def test_budget_ends_it_with_what_is_there() -> None:
    result = await solve(PROBLEM.task, model=world(), method=replace(BRIEF, solutions=2, k=4), budget=Budget(calls=5))
    assert result.stopped == "budget"
    assert result.cost.calls == 5


async def test_model_that_scores_nothing_is_refused_before_it_is_asked() -> None:
    model = ScriptedModel()
    with pytest.raises(AccessDenied, match="score"):
        await solve(PROBLEM.task, model=model, method=BRIEF)
    with pytest.raises(AccessDenied, match="hidden"):
        await solve(PROBLEM.task, model=model, method=Rollouts())
    assert model.calls == 0
    for wrong in ({"solutions": 0}, {"k": -1}, {"depth": 0}, {"delimiter": ""}):
        with pytest.raises(ConfigError):
            Rollouts(**wrong)


def test_layers_are_spread_over_the_depth_unless_they_are_named() -> None:
    model = ScriptedModel()
    with pytest.raises(ConfigError, match="how many layers"):
        Rollouts().layers_of(model)
    model.info = replace(model.info, layers=30)
    assert Rollouts().layers_of(model) == (8, 15, 22, 30)
    assert Rollouts(features="certainty").layers_of(model) == ()
    assert Rollouts(layers=(0, 30)).layers_of(model) == (0, 30)
    with pytest.raises(ConfigError, match="0 to 30"):
        Rollouts(layers=(31,)).layers_of(model)
    model.info = replace(model.info, layers=2)
    assert Rollouts().layers_of(model) == (1, 2)
