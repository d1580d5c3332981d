from __future__ import annotations

import pytest

from ponder.bench.demo import Progress, demo_kinds, run_demo
from ponder.bench.findings import findings, spell_comparison
from ponder.bench.report import render_report
from ponder.bench.rows import read_rows
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies, verifiers
from ponder.core.solve import Control, load
from ponder.models.scripted import ScriptedModel
from tests.bench.bench_doubles import small_model


async def test_demo_runs_both_kinds_in_turn_and_shares_samples():
    model = small_model()
    job = await run_demo(model, count=3, sizes=(1, 2, 4))
    assert job.stopped == "done"
    assert len(model.log) == 2 * 3 * (1 + 4)
    firsts = [run.row.family for run in job.runs if run.point.curve == "greedy"]
    assert firsts == ["multiplication_stories", "writing"] * 3
    assert len(job.rows) == 3 * (1 + 3 + 1 + 3) + 3 * (1 + 3)


async def test_demo_repeats_itself_for_a_seed():
    first, second, other = [
        [(r.problem, r.curve, r.n, r.answer, r.correct) for r in (await run_demo(small_model(), count=2, seed=s)).rows]
        for s in (1, 1, 2)
    ]
    assert first == second != other


@pytest.mark.parametrize(("latency", "count"), [(0.0, 24), (0.5, 12)])
async def test_probe_chooses_between_12_and_24_prompts(latency, count):
    control = Control()
    seen: list[Progress] = []

    def tell(progress):
        seen.append(progress)
        if progress.phase == "run":
            control.cancel()

    model = ScriptedModel(replies=("The answer is 12",), latency=latency, stream=True)
    job = await run_demo(model, control=control, tell=tell, probing=1.0, limit=1.0 if latency else 60.0)
    assert job.probe is not None
    assert job.probe.count == count
    assert job.planned == 2 * count
    assert seen[0].phase == "probe"


async def test_probe_that_sees_nothing_takes_the_fewest_prompts():
    control = Control()
    model = ScriptedModel(replies=("12",), latency=5.0)
    job = await run_demo(model, control=control, probing=0.1, limit=0.0)
    assert job.probe is not None
    assert (job.probe.forecast, job.probe.tokens, job.probe.count) == (None, 0, 12)


async def test_demo_begins_no_prompt_beyond_the_time_limit():
    job = await run_demo(small_model(latency=0.1), count=24, sizes=(1, 2), limit=0.8)
    assert job.stopped == "deadline"
    assert "time limit" in job.detail
    assert 0 < len({(run.row.family, run.row.problem) for run in job.runs}) < 48


async def test_demo_breaks_off_a_prompt_that_takes_too_long():
    job = await run_demo(small_model(latency=30.0), count=2, sizes=(1, 2), limit=0.3)
    assert (job.stopped, job.runs) == ("deadline", ())
    assert job.seconds < 10


async def test_cancelled_demo_keeps_finished_prompts_whole():
    control = Control()

    def tell(progress):
        if progress.done == 2:
            control.cancel("stop it")

    job = await run_demo(small_model(stream=True, latency=0.01), count=5, sizes=(1, 2), control=control, tell=tell)
    assert (job.stopped, job.detail) == ("cancelled", "stop it")
    assert [run.row.family for run in job.runs if run.row.curve == "greedy"] == ["multiplication_stories", "writing"]
    assert all(run.row.stopped in ("done", "agreement") for run in job.runs)


async def test_a_model_that_dies_ends_the_demo_with_what_it_has(tmp_path):
    rows = tmp_path / "rows.jsonl"
    job = await run_demo(small_model(dies_after=7), count=5, sizes=(1, 2), rows=rows)
    assert job.stopped == "endpoint"
    assert "died" in job.detail
    assert len({run.row.problem for run in job.runs}) == 2
    assert [r.problem for r in read_rows(rows)] == [r.problem for r in job.rows]


async def test_demo_refuses_settings_without_sense():
    for wrong in ({"count": 0}, {"sizes": ()}, {"sizes": (0, 2)}):
        with pytest.raises(ConfigError):
            await run_demo(small_model(), **wrong)


def test_no_method_or_verifier_of_the_demo_is_an_oracle():
    for kind in demo_kinds():
        for point in kind.points:
            assert not strategies.get(point.method).oracle
            if point.verifier is not None:
                assert not verifiers.get(point.verifier).oracle


async def test_findings_label_the_self_graded_kind_alone_and_never_say_win():
    job = await run_demo(small_model(), count=4, sizes=(1, 4))
    found = findings(job)
    assert {p.family for p in found.points if p.self_graded} == {"writing"}
    assert [entry.same for entry in found.savings] == [4]
    assert len(found.comparisons) == 4
    for entry in found.comparisons:
        low, high = entry.difference.low, entry.difference.high
        if low <= 0 <= high:
            assert "no clear gain" in spell_comparison(entry)
        assert entry.cost is not None


async def test_cost_of_equal_samples_is_equal():
    found = findings(await run_demo(small_model(), count=3, sizes=(1, 4)))
    (equal,) = [entry for entry in found.comparisons if entry.base[0] == "self-consistency"]
    assert equal.cost == 1


@pytest.mark.embedded
@pytest.mark.slow
async def test_embedded_model_runs_a_tiny_demo():
    model = load("llamacpp:smollm2")
    try:
        job = await run_demo(model, count=2, sizes=(1, 2))
    finally:
        await model.close()
    assert job.stopped == "done"
    found = findings(job)
    assert {p.family for p in found.points} == {"multiplication_stories", "writing"}
    for entry in found.ledgers:
        assert entry.paid["policy"].calls == 2 * (1 + 2)
        assert entry.paid["policy"].completion_tokens > 0
    assert "<svg" in render_report(job)
