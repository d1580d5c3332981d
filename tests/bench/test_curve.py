from __future__ import annotations

import pytest

from ponder.bench.curve import Point, run_points
from ponder.bench.demo import SAMPLING, demo_kinds
from ponder.core.solve import Control
from ponder.core.store import Store
from ponder.models.scripted import ScriptedModel
from ponder.tasks.multiplication_stories import MultiplicationStories
from tests.bench.bench_doubles import small_model

STORY = MultiplicationStories().generate(1, 3)[0]


async def run(problem, points, model, **options):
    return await run_points(
        problem, points, model=model, store=Store(), family="stories", sampling=SAMPLING, seed=1, **options
    )


async def test_a_curve_pays_for_greedy_and_its_largest_point_alone():
    model = small_model()
    points = demo_kinds((1, 2, 4, 8))[0].points
    runs = await run(STORY, points, model)
    assert [found.point for found in runs] == list(points)
    assert len(model.log) == 1 + 8
    paid = {(r.row.curve, r.row.n): r.row.paid["policy"].calls for r in runs if "policy" in r.row.paid}
    assert {key for key, calls in paid.items() if calls} == {("greedy", 1), ("self-consistency", 8)}
    for found in runs:
        if found.row.curve != "vote, stopped early":
            assert found.row.usage["policy"].calls == found.row.candidates == found.point.n


async def test_smaller_points_hold_the_first_samples_of_the_largest():
    runs = await run(STORY, demo_kinds((2, 8))[0].points, small_model())
    by_point = {(r.row.curve, r.row.n): [c.text for c in r.result.candidates] for r in runs}
    assert by_point["self-consistency", 2] == by_point["best-of-N, arithmetic", 8][:2]


async def test_seconds_of_stored_answers_are_tokens_at_the_measured_pace():
    runs = await run(STORY, demo_kinds((1, 8))[0].points, small_model(latency=0.05))
    rows = {(r.row.curve, r.row.n): r.row for r in runs}
    full, one = rows["self-consistency", 8], rows["self-consistency", 1]
    assert full.measured
    assert rows["greedy", 1].measured
    assert not one.measured
    share = one.nominal.completion_tokens / full.nominal.completion_tokens
    assert one.seconds == pytest.approx(full.seconds * share, abs=0.04)


async def test_rows_count_cut_unread_and_failed_answers():
    model = ScriptedModel(replies=lambda request, number: ["no idea", "7 " + "very " * 60 + "long", "12"][number % 3])
    points = [Point(curve="vote", method="self_consistency", settings={"n": 3, "early_stop": "none"})]
    (found,) = await run(STORY, points, model)
    assert (found.row.cut, found.row.unread, found.row.failed, found.row.flawed) == (1, 1, 0, 2)
    failing = ScriptedModel(replies=("12",), fail_every=2)
    (found,) = await run(STORY, points, failing)
    assert (found.row.failed, found.row.flawed, found.row.candidates) == (1, 1, 3)


async def test_no_readable_answer_is_wrong_and_not_ungraded():
    points = [Point(curve="vote", method="self_consistency", settings={"n": 2, "early_stop": "none"})]
    (found,) = await run(STORY, points, ScriptedModel(replies=("no idea",)))
    assert found.row.answer is None
    assert found.row.correct is False


async def test_a_run_that_was_stopped_is_told_apart_and_ends_the_points():
    control = Control()
    control.cancel()
    runs = await run(STORY, demo_kinds((1, 2))[0].points, small_model(), control=control)
    assert len(runs) == 1
    assert runs[0].broken_off
