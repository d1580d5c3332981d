from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ponder import Budget, Candidate, Context, Message, Meter, ScriptedModel, Trace
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Request
from ponder.engines.step_search import StepVerifier
from ponder.engines.tree import Prefix
from ponder.numerics.logistic import Logistic
from ponder.tasks.arithmetic_chains import ArithmeticChains
from ponder.verifiers.prm_features import STEP_FEATURES
from ponder.verifiers.trained_prm import FILE, Head, TrainedPrm
from tests.training.prm_world import world

TASK = ArithmeticChains().generate(1, seed=0)[0].task
RIGHT, WRONG = "1 + 1 = 2\n", "2 + 1 = 4\n"


def head(fingerprint: str) -> Head:
    """Looks at the least log-probability of the newest step only."""
    weights = tuple(float(at == 1) for at in range(STEP_FEATURES))
    return Head(fingerprint=fingerprint, features="certainty", layer=0, delimiter="\n", law=Logistic(weights, 0.8))


def context(model: ScriptedModel, budget: Budget | None = None, **roles: ScriptedModel) -> Context:
    return Context(models={"policy": model, **roles}, meter=Meter(budget), trace=Trace())


def prefix(*steps: str) -> Prefix:
    return Prefix(node=(len(steps),), steps=steps, finished=False)


def prm(directory: Path, model: ScriptedModel, **settings: str) -> TrainedPrm:
    head(model.info.fingerprint).save(directory)
    return TrainedPrm(directory=str(directory), **settings)  # type: ignore[arg-type]


async def test_each_step_has_its_value(tmp_path: Path) -> None:
    model = world()
    ctx = context(model)
    found = await prm(tmp_path, model).score_steps(TASK, [prefix(RIGHT), prefix(RIGHT, WRONG, RIGHT)], ctx)
    high, low = Logistic((1.0,), 0.8).predict([-0.1]), Logistic((1.0,), 0.8).predict([-1.5])
    assert found[0].steps == (high,)
    assert found[1].steps == (high, low, high)
    assert found[1].value == high  # the last one
    usage = ctx.meter.nominal["prm"]
    assert (usage.calls, usage.completion_tokens) == (2, 0)
    counts = [model.count(Request(messages=TASK.messages, prefix=text)) for text in (RIGHT, RIGHT + WRONG + RIGHT)]
    assert usage.prompt_tokens == sum(count.tokens for count in counts)


async def test_whole_answers_are_split_and_aggregated(tmp_path: Path) -> None:
    model = world()
    whole = [Candidate(index=i, message=Message("assistant", t)) for i, t in enumerate((RIGHT + WRONG, " "))]
    found, blank = await prm(tmp_path, model, aggregation="min").score(TASK, whole, context(model))
    assert found.value == min(found.steps) < 0.5
    assert blank.value is None
    assert blank.reason


async def test_budget_makes_later_scores_missing(tmp_path: Path) -> None:
    model = world()
    found = await prm(tmp_path, model).score_steps(
        TASK, [prefix(RIGHT), prefix(WRONG)], context(model, Budget(calls=1))
    )
    assert found[0].value is not None
    assert found[1].value is None
    assert "budget" in found[1].reason


async def test_another_model_is_refused_and_the_role_prm_is_read(tmp_path: Path) -> None:
    model, other = world(), ScriptedModel(replies=["another script"])
    verifier = prm(tmp_path, model)
    with pytest.raises(ConfigError, match="was trained on"):
        await verifier.score_steps(TASK, [prefix(RIGHT)], context(other))
    (score,) = await verifier.score_steps(TASK, [prefix(RIGHT)], context(other, prm=model))
    assert score.value is not None


async def test_what_was_read_once_is_booked_but_not_read_again(tmp_path: Path) -> None:
    model = world()
    verifier = prm(tmp_path, model)
    ctx = context(model)
    (first,) = await verifier.score_steps(TASK, [prefix(RIGHT, WRONG)], ctx)
    (again,) = await TrainedPrm(directory=str(tmp_path)).score_steps(TASK, [prefix(RIGHT, WRONG)], ctx)
    assert again == first
    assert model.passes == 1
    assert ctx.meter.nominal["prm"].calls == 2
    assert ctx.meter.paid["prm"].calls == 1
    law = Logistic((0.0,) * STEP_FEATURES, -5.0)
    replace(head(model.info.fingerprint), law=law).save(tmp_path)  # another head in the same place knows nothing yet
    (new,) = await TrainedPrm(directory=str(tmp_path)).score_steps(TASK, [prefix(RIGHT, WRONG)], ctx)
    assert new.value == pytest.approx(law.predict([0.0] * STEP_FEATURES))
    assert model.passes == 2


async def test_without_a_directory_every_score_is_missing() -> None:
    assert isinstance(TrainedPrm(), StepVerifier)
    (score,) = await TrainedPrm().score_steps(TASK, [prefix(RIGHT)], context(world()))
    assert "directory" in score.reason


def test_head_survives_its_file(tmp_path: Path) -> None:
    made = head("some model")
    made.save(tmp_path / "deep" / "er")
    assert Head.load(tmp_path / "deep" / "er") == made


@pytest.mark.parametrize(
    ("change", "said"),
    [({"schema": 9}, "schema 9"), ({"weights": [1.0]}, "1 weights"), ({"weights": "?"}, "no trained PRM")],
)
def test_broken_files_are_refused(change: dict, said: str, tmp_path: Path) -> None:
    file = head("some model").save(tmp_path)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(BadInput, match=said):
        TrainedPrm(directory=str(tmp_path))


def test_missing_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no trained PRM in"):
        TrainedPrm(directory=str(tmp_path))
    (tmp_path / FILE).write_text("{")
    with pytest.raises(BadInput, match="is no trained PRM"):
        TrainedPrm(directory=str(tmp_path))
