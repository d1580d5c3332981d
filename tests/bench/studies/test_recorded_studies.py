"""From a model to a study: what is run, what is charged, and that recorded rows say the same as live ones."""

from __future__ import annotations

import re

import pytest

from ponder.bench.rows import read_rows
from ponder.bench.studies.compute_optimal import (
    Configuration,
    compute_optimal,
    compute_optimal_points,
    compute_optimal_turns,
)
from ponder.bench.studies.dynamics import read_judged
from ponder.bench.studies.page import render_page, write_study
from ponder.bench.studies.recording import Turn, record, samples_in_parallel
from ponder.bench.studies.verification_dynamics import Judge, verification_dynamics, verification_turns
from ponder.core.errors import ConfigError
from ponder.core.model import Request, Sampling
from ponder.core.seeds import derive
from ponder.core.solve import Control
from ponder.models.replay import Recorded, ReplayModel
from ponder.models.scripted import ScriptedModel
from ponder.planning.difficulty import Difficulty, Quantiles
from ponder.tasks.multiplication_stories import MultiplicationStories

LAW = Sampling(temperature=0.8, top_p=0.95, max_tokens=60)
TWO = Difficulty(binning=Quantiles(bins=2))
USUAL = [Configuration(method=name) for name in ("greedy", "self_consistency", "best_of_n")]


def writer(*, name="writer", skill=0.5):
    """Right with a chance that falls with the product; asked for a verdict, it trusts numbers above 20."""

    def reply(request: Request, number: int) -> str:
        prompt = request.messages[-1].text
        stream = derive(request.seed, name, prompt)
        if "Verdict" in prompt:
            return stream.choice(["Looks fine. Verdict: [[Correct]]", "Verdict: [[Incorrect]]", "I cannot say."])
        first, second = (int(found) for found in re.findall(r"\d+", prompt)[:2])
        right = stream.random() < skill * (1.8 if first * second < 25 else 0.6)
        return str(first * second if right else stream.randint(82, 99))

    return ScriptedModel(replies=reply, name=name)


def stories(count, seed=0):
    return MultiplicationStories().generate(count, seed)


async def recorded(turns, count=12, **options):
    return await record(stories(count), turns, family="stories", sampling=LAW, **options)


async def test_compute_optimal_runs_end_to_end_and_pays_for_the_largest_point(tmp_path):
    model, file = writer(), tmp_path / "rows.jsonl"
    points = compute_optimal_points(USUAL, (1, 2, 4), difficulty=TWO, probe=2, verifier="arithmetic")
    done = await recorded(compute_optimal_turns(model, points, larger=writer(name="large", skill=0.6)), file=file)
    assert len(model.log) == 12 * (1 + 4)  # greedy, and four samples that all points share
    assert len(done.rows) == 12 * (1 + 1 + 3 + 3 + 1)
    study = compute_optimal(done.rows, TWO, scale=8)
    assert compute_optimal(read_rows(file), TWO, scale=8) == study
    assert {p["curve"] for p in study.data["points"]} == {
        "greedy",
        "self_consistency",
        "best_of_n",
        "compute-optimal",
    }
    assert study.data["exchange"]
    page = write_study(study, tmp_path)
    assert page.read_text(encoding="utf-8") == render_page(study)
    assert (tmp_path / "table.json").exists()
    assert "| best_of_n | 4 |" in (tmp_path / "table.md").read_text(encoding="utf-8")


async def test_samples_of_the_probe_are_those_of_the_configurations():
    """The probe's cost is charged once, because its samples are sent once."""
    model = writer()
    points = compute_optimal_points([USUAL[2]], (1, 3), difficulty=TWO, probe=3, verifier="arithmetic")
    done = await recorded(compute_optimal_turns(model, points), count=4)
    assert len(model.log) == 4 * 3
    study = compute_optimal(done.rows, TWO)
    probe = [row.usage["policy"].tokens for row in done.rows if row.curve == "probe"]
    (optimal,) = [p for p in study.data["points"] if p["curve"] == "compute-optimal"]
    # Whether one sample is chosen or three, the probe's three are paid, and no more.
    assert (optimal["n"], optimal["tokens"]) == (3, sum(probe) / 4)


async def test_rows_keep_the_evidence_of_every_answer(tmp_path):
    points = compute_optimal_points([USUAL[2]], (3,), difficulty=TWO, probe=1, verifier="arithmetic")
    done = await recorded(compute_optimal_turns(writer(), points), count=2, file=tmp_path / "rows.jsonl")
    assert read_rows(tmp_path / "rows.jsonl") == list(done.rows)
    row = done.rows[1]
    assert row.evidence is not None
    assert len(row.evidence.grades) == len(row.evidence.scores) == row.n == 3
    # The arithmetic check works the story out again: on these stories it is as good as gold.
    assert [score == 1 for score in row.evidence.scores] == list(row.evidence.grades)


async def test_verification_dynamics_runs_end_to_end():
    weak, strong = writer(name="weak", skill=0.3), writer(name="strong", skill=0.55)
    judges = [Judge(verifier="arithmetic"), Judge(verifier="generative", model=strong, settings={"max_tokens": 20})]
    done = await recorded(verification_turns([weak, strong], judges, samples=4))
    assert sum("Verdict" not in call.prompt for call in weak.log) == 12 * 4  # both verifiers judge the same answers
    study = verification_dynamics(done.rows)
    by_verifier = {c["verifier"]: c for c in study.data["cells"] if c["bin"] == c["generator"] == "all"}
    assert by_verifier["arithmetic"]["balanced"] == 1
    assert by_verifier["arithmetic"]["after"] > by_verifier["arithmetic"]["before"]
    assert 0.2 < by_verifier["generative@strong"]["balanced"] < 0.8
    assert study.data["generators"]["weak"] < study.data["generators"]["strong"]
    assert study.data["abilities"][0]["verifier"] == "generative@strong"
    assert render_page(study).count("<svg") >= 4


async def test_a_recorded_pool_gives_what_the_model_gave():
    model = writer()
    points = compute_optimal_points([USUAL[2]], (4,), difficulty=TWO, probe=2, verifier="arithmetic")
    live = await recorded(compute_optimal_turns(model, points), count=4)
    pool = []
    for problem in stories(4):
        for index in range(4):
            request = Request(messages=problem.task.messages, sampling=LAW, seed=index)
            (completion,) = await model.generate(request)
            pool.append(Recorded(messages=problem.task.messages, index=index, completion=completion))
    replayed = await recorded(compute_optimal_turns(ReplayModel(pool=pool), points), count=4)
    assert len(replayed.rows) == len(live.rows)
    assert {used.tokens for row in replayed.rows for used in row.paid.values()} == {0}
    assert min(row.usage["policy"].tokens for row in replayed.rows) > 0


async def test_a_recording_that_is_stopped_keeps_whole_problems(tmp_path):
    control = Control()

    def tell(done, total):
        if done == 3:
            control.cancel("enough")

    points = compute_optimal_points(USUAL, (1, 2), difficulty=TWO, probe=2, verifier="arithmetic")
    turns = compute_optimal_turns(writer(), points)
    done = await recorded(turns, control=control, tell=tell, file=tmp_path / "rows.jsonl")
    assert (done.stopped, done.detail, done.done, done.planned) == ("cancelled", "enough", 3, 12)
    assert {row.problem for row in read_rows(tmp_path / "rows.jsonl")} == {p.task.id for p in stories(3)}


def test_points_name_their_curves_and_say_what_they_need():
    beam = Configuration(method="beam_search", settings={"branch": 2})
    points = compute_optimal_points([USUAL[0], beam], (4,), difficulty=TWO, verifier="arithmetic")
    assert [(p.curve, p.n) for p in points] == [("probe", 4), ("greedy", 1), ("beam_search branch=2", 4)]
    oracle = Difficulty(estimator="oracle")
    assert [p.curve for p in compute_optimal_points([USUAL[1]], (2,), difficulty=oracle)] == ["self_consistency"]
    by_score = Difficulty(estimator="verifier")
    assert compute_optimal_points([USUAL[1]], (4,), difficulty=by_score, verifier="judge")[0].verifier == "judge"


@pytest.mark.parametrize(
    ("configurations", "options"),
    [
        ([USUAL[2]], {}),
        ([USUAL[1]], {"difficulty": Difficulty(estimator="verifier")}),
        ([USUAL[1], USUAL[1]], {}),
        ([USUAL[1]], {"sizes": ()}),
        ([USUAL[1]], {"probe": 0}),
        ([USUAL[1]], {"probe": 5}),
        ([Configuration(method="self_consistency", settings={"m": 3})], {}),
    ],
)
def test_points_without_sense_are_refused_before_anything_is_spent(configurations, options):
    with pytest.raises(ConfigError):
        compute_optimal_points(configurations, **{"sizes": (4,), "difficulty": TWO, **options})


def test_turns_without_sense_are_refused():
    for generators, judges in (([], [Judge(verifier="arithmetic")]), ([writer()], []), ([writer(), writer()], [])):
        with pytest.raises(ConfigError):
            verification_turns(generators, judges)
    with pytest.raises(ConfigError):
        verification_turns([writer()], [Judge(verifier="generative", settings={"voices": 2})])


def test_independent_samplers_are_told_from_guided_ones():
    names = ("best_of_n", "self_consistency", "greedy", "beam_search", "no such method")
    assert [samples_in_parallel(name) for name in names] == [True, True, False, False, False]


@pytest.mark.embedded
@pytest.mark.slow
async def test_embedded_model_gives_both_studies(embedded):
    points = compute_optimal_points([USUAL[2]], (2,), difficulty=TWO, probe=1, verifier="arithmetic")
    judge = Judge(verifier="generative", model=embedded, settings={"max_tokens": 16})
    turns = [*compute_optimal_turns(embedded, points), *verification_turns([embedded], [judge], samples=1)]
    done = await record(
        stories(4), turns, family="stories", sampling=Sampling(temperature=0.8, top_p=0.95, max_tokens=12)
    )
    assert done.stopped == "done"
    study = compute_optimal([row for row in done.rows if row.curve != judge.label], TWO)
    assert {p["curve"] for p in study.data["points"]} == {"best_of_n", "compute-optimal"}
    assert len(read_judged(done.rows)) == 4 * 2
    assert Turn(model=embedded, points=points) == turns[0]
