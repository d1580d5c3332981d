"""From real (scripted) runs to a policy that the method `auto` then follows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import ponder
from ponder.bench.curve import Point, run_points
from ponder.bench.rows import Row
from ponder.bench.tune import tune
from ponder.bench.tuning_rows import gather
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import ModelInfo, Request, Sampling
from ponder.core.store import Store
from ponder.core.task import Message, Task
from ponder.models.scripted import ScriptedModel
from ponder.planning.tuning import Aim
from ponder.tasks.problem import Problem

COUNT = 60
PROBLEMS = [
    Problem(
        task=Task(messages=(Message("user", f"{'easy' if i % 2 else 'hard'} {i}"),), answer="number", id=f"q{i}"),
        reference="7",
    )
    for i in range(COUNT)
]
POINTS = [
    Point(curve="greedy", method="greedy"),
    *(
        Point(curve="vote", method="self_consistency", settings={"n": n, "early_stop": "none"})
        for n in (1, 2, 4, 8, 16)
    ),
]


def reply(request: Request, number: int) -> str:
    """Easy: always right. Hard: right in 2 of 5 samples, each wrong answer another one; greedy is wrong."""
    if "easy" in request.messages[-1].text:
        return "7"
    if request.sampling.temperature == 0:
        return "1"
    return "7" if request.seed % 5 < 2 else str(10 + request.seed % 7919)


def a_model(name: str = "small", size: float = 1.0) -> ScriptedModel:
    info = ModelInfo(fingerprint=name, vocabulary=100, flops=lambda prompt, completion: size * (prompt + completion))
    return ScriptedModel(replies=reply, name=name, info=info)


async def recorded(model: ScriptedModel, points: list[Point] = POINTS, family: str = "f") -> list[Row]:
    store, rows = Store(), []
    for problem in PROBLEMS:
        runs = await run_points(
            problem, points, model=model, store=store, family=family, sampling=Sampling(max_tokens=8)
        )
        rows += [run.row for run in runs]
    return rows


def four_times(rows: list[Row]) -> list[Row]:
    """The same runs of four times as many questions: sixty prove no difference as small as a slack of 0.02."""
    return [replace(row, problem=f"{row.problem}-{copy}") for row in rows for copy in range(4)]


async def test_a_policy_from_runs_spends_on_hard_questions_only(tmp_path: Path) -> None:
    policy = tune(gather(four_times(await recorded(a_model()))), Aim(objective="cost", slack=0.02))
    assert policy.probe is not None
    assert policy.probe.estimator == "agreement"
    first, *_, last = (policy.table[name] for name in policy.bins.names if name in policy.table)
    assert first.settings.get("n", 1) < 8 <= last.settings["n"]
    held = policy.evidence["held_out"]
    assert held["cost"] < held["fixed"]["cost"]
    assert held["fixed"]["difference"][1] > -0.15

    file = tmp_path / "policy.json"
    policy.save(file)
    easy = await ponder.solve(
        PROBLEMS[1].task, model=a_model(), method="auto", policy=str(file), sampling=Sampling(max_tokens=8)
    )
    hard = await ponder.solve(
        PROBLEMS[0].task, model=a_model(), method="auto", policy=str(file), sampling=Sampling(max_tokens=8)
    )
    assert easy.answer == "7"
    assert easy.cost.calls < hard.cost.calls
    with pytest.raises(ConfigError, match="measured with"):
        await ponder.solve(PROBLEMS[1].task, model=a_model("other"), method="auto", policy=str(file))


async def test_costs_of_a_probe_are_those_of_its_samples() -> None:
    rows = await recorded(a_model())
    outcomes = gather(rows).outcomes
    at = {option.choice.label: i for i, option in enumerate(outcomes.options)}
    for look in outcomes.looks:
        option = at[f"self_consistency(n={look.probe.n}, early_stop=none)"]
        assert look.costs.tolist() == outcomes.costs[:, option].tolist()
    assert {look.probe.n for look in outcomes.looks if look.probe.estimator == "agreement"} == {2, 4, 8, 16}


async def test_few_questions_give_the_robust_default_and_say_so() -> None:
    rows = [row for row in await recorded(a_model()) if int(row.problem[1:]) < 20]
    policy = tune(gather(rows), Aim())
    assert policy.probe is None
    assert not policy.table
    assert "too few" in policy.evidence["abstained"]


async def test_two_models_are_compared_in_flops_and_never_in_tokens() -> None:
    small, large = await recorded(a_model()), await recorded(a_model("large", 20.0), [POINTS[0]])
    found = gather([*small, *large])
    assert found.unit == "flops"
    assert {role: known.name for role, known in found.models.items()} == {"policy": "small", "large": "large"}
    with pytest.raises(BadInput, match="do not add up"):
        gather([*small, *large], unit="tokens")
    with pytest.raises(BadInput, match="price table"):
        gather([replace(row, costs={}) for row in [*small, *large]])
    assert gather([*small, *large], policy="large").models["policy"].name == "large"


async def test_rows_that_cannot_be_learned_from_are_left_out() -> None:
    rows = await recorded(a_model())
    none = [replace(row, correct=None) for row in rows]
    broken = [replace(row, stopped="deadline") for row in rows]
    limited = [replace(row, budget="calls=3") for row in rows]
    for useless in ([], none, broken, limited):
        with pytest.raises(BadInput, match="no graded row"):
            gather(useless)
    part = [row for row in rows if row.curve == "greedy" and row.problem == "q0"]
    lacking = [row for row in rows if row not in part]
    found = gather(lacking)
    assert (found.dropped, len(found.outcomes.questions)) == (1, COUNT - 1)


async def test_families_that_were_never_tuned_on_are_reported_apart() -> None:
    rows = await recorded(a_model())
    other = [replace(row, family="g") for row in rows]
    policy = tune(gather([*rows, *other]), Aim(objective="cost", slack=0.02))
    assert [found["family"] for found in policy.evidence["unseen_families"]] == ["f", "g"]
    assert all(found["questions"] == COUNT for found in policy.evidence["unseen_families"])
