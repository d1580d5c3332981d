"""Importance of steps by passes of a model that scores: values, readings, faults (card 59)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from ponder import Budget, Context, Meter, ScriptedModel, Task, Trace
from ponder.core.errors import AccessDenied, ConfigError, EndpointDown, ProviderError
from ponder.verifiers._importance import Importance, Scoring, step_importance
from tests.verifiers.scoring_world import KeyWords

TASK = Task.of("How many apples are there?", answer="number")
STEPS = ["We add. ", "Wait, check. ", "Let me check the KEY. ", "Wait, once more. ", "So we stop."]


async def importance(
    model: ScriptedModel, functional: Sequence[int] = (1, 2, 3), budget: Budget | None = None, **settings: object
) -> Importance:
    ctx = Context(models={"policy": model}, meter=Meter(budget), trace=Trace())
    scoring = Scoring(**settings)  # type: ignore[arg-type]
    return await step_importance(ctx, TASK, STEPS, functional, "12", scoring)


@pytest.mark.parametrize("way", ["removal", "arrival"])
async def test_the_step_with_the_fact_matters_and_others_do_not(way: str) -> None:
    found = await importance(KeyWords(), way=way)
    assert list(found.scores) == [1, 2, 3]
    assert found.scores[2] == pytest.approx(math.log(9))
    assert found.scores[1] == found.scores[3] == 0
    assert not found.problem


async def test_removal_reads_the_trace_and_then_each_shorter_one_from_the_last_step_back() -> None:
    model = KeyWords()
    found = await importance(model, open="<think>")
    chains = [prefix.removeprefix("<think>").removesuffix("\n\nThe answer is") for prefix in model.scored]
    whole = "".join(STEPS)
    assert chains == [whole, *("".join([*STEPS[:at], *STEPS[at + 1 :]]) for at in (3, 2, 1))]
    assert len(found.logprobs) == 1
    assert 0 < found.cached < found.tokens


@pytest.mark.parametrize("functional", [(1,), (1, 3), (1, 2, 3), (0, 1, 2, 3)])
async def test_removal_reads_no_word_that_any_schedule_could_spare(functional: tuple[int, ...]) -> None:
    """A causal model has to read each word once behind each different beginning: those are counted here one by one."""
    model = KeyWords()
    found = await importance(model, functional)
    texts = [[*TASK.prompt.split(), *prefix.split(), "12"] for prefix in model.scored]
    beginnings = {tuple(words[: at + 1]) for words in texts for at in range(len(words))}
    assert found.tokens - found.cached == len(beginnings)


async def test_arrival_reads_each_word_of_the_trace_once() -> None:
    model = KeyWords()
    found = await importance(model, way="arrival")
    assert len(model.scored) == 4  # after 1, 2, 3 and 4 steps
    answers = 4 * len(["The", "answer", "is", "12"])
    once = len(TASK.prompt.split()) + len("".join(STEPS[:4]).split())
    assert found.tokens - found.cached == once + answers


async def test_steps_without_any_that_is_functional_cost_nothing() -> None:
    model = KeyWords()
    assert (await importance(model, ())).scores == {}
    assert not model.scored


async def test_a_conclusion_that_states_the_answer_is_hidden() -> None:
    model = KeyWords()
    ctx = Context(models={"policy": model}, meter=Meter(None), trace=Trace())
    steps = ["Wait, check. ", "We add. So it is 12."]
    await step_importance(ctx, TASK, steps, [0], "12", Scoring())
    assert model.scored[0] == "Wait, check. We add.\n\nThe answer is"
    await step_importance(ctx, TASK, steps, [0], "12", Scoring(hide_conclusion=False))
    assert model.scored[2].startswith("Wait, check. We add. So it is 12.")


async def test_faults_leave_the_scores_there_are() -> None:
    found = await importance(KeyWords(error=ProviderError("lost"), breaks_after=2))
    assert list(found.scores) == [3]
    assert found.problem == "lost"
    broke = await importance(KeyWords(), budget=Budget(calls=3))
    assert list(broke.scores) == [2, 3]
    assert broke.ended is not None
    with pytest.raises(EndpointDown):
        await importance(KeyWords(error=EndpointDown("gone")))
    with pytest.raises(AccessDenied):
        await importance(ScriptedModel())
    with pytest.raises(ConfigError):
        Scoring(way="both")  # type: ignore[arg-type]
    unsure = await importance(KeyWords(unlikely=1e-320, likely=0.5))
    assert unsure.scores[2] > 100


@pytest.mark.torch
@pytest.mark.embedded
async def test_smollm2_scores_steps_with_its_prompts_kept() -> None:
    import ponder

    model = ponder.load("hf:smollm2", dtype="float32")
    chain = [
        "Ann has 3 bags. ",
        "Each bag has 4 apples, so there are 3 * 4 = 12 apples. ",
        "Wait, let me check: 4 + 4 + 4 = 12. ",
        "Alternatively, 3 + 3 + 3 + 3 = 12. ",
        "The sky is blue today, and the wind is cold. ",
    ]
    task = Task.of("Ann has 3 bags with 4 apples in each. How many apples are there?", answer="number")
    ctx = Context(models={"policy": model}, meter=Meter(None), trace=Trace())
    try:
        exact = await step_importance(ctx, task, chain, [1, 2, 3, 4], "12", Scoring())
        again = await step_importance(ctx, task, chain, [1, 2, 3, 4], "12", Scoring())
        quick = await step_importance(ctx, task, chain, [1, 2, 3, 4], "12", Scoring(way="arrival"))
    finally:
        await model.close()
    assert all(math.isfinite(value) for value in [*exact.scores.values(), *quick.scores.values()])
    assert exact.scores == pytest.approx(again.scores, abs=1e-4)
    assert exact.cached > 0.3 * exact.tokens
    assert quick.cached > 0.5 * quick.tokens
    assert quick.scores[1] > 0  # the calculation makes its result likelier
