from __future__ import annotations

import pytest

from ponder.bench.job import Grid, Job, read_job
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Sampling
from tests.bench.job_worlds import job


def test_a_job_round_trips_through_json():
    made = job(budgets=("", "tokens=9"), seeds=(1, 2), roles={"judge": "scripted:1"}, keep_text=True)
    assert Job.from_json(made.to_json()) == made


def test_a_grid_runs_every_combination_and_writes_the_default_n_out():
    grid = Grid(method="self_consistency", settings={"early_stop": ("none", "bayes"), "confidence": (0.9, 0.99)})
    points = list(grid.points("tokens=9", "m"))
    assert len(points) == 4
    assert {point.n for point in points} == {16}
    assert points[0].curve == "self_consistency early_stop=none confidence=0.9@m within tokens=9"


def test_keys_are_stable_and_each_run_has_its_own():
    made = job(seeds=(0, 1), budgets=("", "calls=2"))
    problems = made.problems()
    keys = [key for unit in made.units(problems, "scripted:small") for key in unit.keys]
    assert len(set(keys)) == len(keys) == made.size(len(problems))
    assert keys == [key for unit in made.units(made.problems(), "scripted:small") for key in unit.keys]
    assert set(keys).isdisjoint(key for unit in made.units(problems, "other") for key in unit.keys)
    other = job(seeds=(0, 1), budgets=("", "calls=2"), sampling=Sampling(max_tokens=41))
    assert set(keys).isdisjoint(key for unit in other.units(problems, "scripted:small") for key in unit.keys)
    spelt = Grid(method="self_consistency", settings={"n": (1, 2, 4), "early_stop": ("none",), "ahead": (4,)})
    same = job(methods=(spelt,), seeds=(0,))
    assert {key for unit in same.units(problems, "scripted:small") for key in unit.keys} < set(keys)


def test_what_is_done_is_not_planned_again():
    made = job()
    problems = made.problems()
    units = list(made.units(problems, "m"))
    done = {*units[0].keys, units[1].keys[0]}
    left = list(made.units(problems, "m", done))
    assert [unit.named for unit in left] == [unit.named for unit in units[1:]]
    assert left[0].keys == units[1].keys[1:]


def test_differences_name_what_changed_and_not_what_was_added():
    before = job()
    more = Grid(method="greedy")
    assert job(methods=(*before.methods, more), count=9, seeds=(0, 7), models=("a", *before.models)).differences(
        before
    ) == []  # fmt: skip
    changed = job(tasks=("writing",), roles={"judge": "x"}, task_seed=1, keep_text=True, methods=(more,))
    told = "; ".join(changed.differences(before))
    for part in (
        "task_seed: 0 -> 1",
        "roles.judge: None -> 'x'",
        "keep_text",
        "tasks: multiplication_stories left out",
    ):
        assert part in told


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"models": ()}, "no models"),
        ({"count": 0}, "count"),
        ({"seeds": (1, 1)}, "twice"),
        ({"budgets": ("tokens",)}, "cannot read"),
        ({"roles": {"policy": "x"}}, "policy"),
        ({"methods": (Grid(method="greedy"), Grid(method="greedy"))}, "the same"),
    ],
)
def test_a_job_without_sense_is_refused(fields, told):
    with pytest.raises(ConfigError, match=told):
        job(**fields)


def test_a_grid_without_sense_is_refused():
    with pytest.raises(ConfigError, match="verifier"):
        Grid(method="best_of_n")
    with pytest.raises(ConfigError, match="no value"):
        Grid(method="greedy", settings={"n": ()})
    with pytest.raises(ConfigError, match="no verifier"):
        Grid(method="greedy", judging={"x": 1})


def test_a_job_file_names_what_it_does_not_have(tmp_path):
    file = tmp_path / "job.toml"
    for text, told in (
        ("models = [", "cannot read the job"),
        ('modles = ["x"]', "no 'modles'"),
        ('models = ["x"]', "not complete"),
        ('models = ["x"]\ntasks = ["t"]\nmethods = [{name = "greedy"}]', "no 'name'"),
        ('models = ["x"]\ntasks = ["t"]\nmethods = ["greedy"]\nsampling = 3', "must be a table"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises((ConfigError, BadInput), match=told):
            read_job(file)
    file.write_text('models = "x"\ntasks = "t"\nmethods = ["greedy"]\nseeds = 3', encoding="utf-8")
    assert read_job(file) == Job(models=("x",), tasks=("t",), methods=(Grid(method="greedy"),), seeds=(3,))
