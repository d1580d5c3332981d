from __future__ import annotations

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ponder.bench.job import Grid
from ponder.bench.rows import read_rows
from ponder.bench.runner import run_job
from ponder.bench.traces import read_packed
from ponder.bench.worker import Brake, Patience
from ponder.core.errors import BadInput, ConfigError, EndpointDown
from ponder.core.model import ModelInfo, Sampling
from ponder.core.result import total
from ponder.models.openai import OpenAI
from ponder.models.scripted import ScriptedModel
from tests.bench.bench_doubles import small_model, small_reply
from tests.bench.job_worlds import INFO, facts, job, slow, small
from tests.models.fault_server import FaultServer

QUICK = Patience(first=0.01, longest=0.05, limit=5)


async def test_a_job_writes_a_row_for_each_run_and_each_answer(tmp_path):
    done = await run_job(job(), tmp_path / "run", opener=small)
    rows, candidates = facts(tmp_path / "run")
    assert (done.done, done.total, done.before, done.stopped) == (24, 24, 0, "done")
    assert len(rows) == 4 * 2 * 3
    assert len(candidates) == 4 * 2 * (1 + 2 + 4)
    assert {row.model for row in rows.values()} == {"scripted:small"}
    assert total(done.paid).calls == 4 * 4  # the largest size of the four problems; all else came from the store
    for row in rows.values():
        mine = [candidates[row.run, index] for index in range(row.candidates)]
        assert row.evidence is not None
        assert tuple(c.correct for c in mine) == row.evidence.grades
        assert {name for c in mine for name in c.scores} == ({"arithmetic"} if row.verifier else set())
        assert row.level in (1, 2, 3)
        assert all(c.text is None for c in mine)
    assert json.loads((tmp_path / "run" / "job.json").read_text())["models"]["scripted:small"]["name"] == "small"


async def test_a_finished_job_opens_no_model_again(tmp_path):
    await run_job(job(), tmp_path, opener=small)
    again = await run_job(job(), tmp_path, opener=lambda spec: pytest.fail("opened"))
    assert (again.done, again.before, dict(again.paid)) == (24, 24, {})


async def test_added_cells_pay_only_for_what_is_new(tmp_path):
    await run_job(job(), tmp_path, opener=small)
    larger = job(count=5, budgets=("", "calls=2"))
    done = await run_job(larger, tmp_path, opener=small)
    assert (done.before, done.total, done.done) == (24, 60, 60)
    assert total(done.paid).calls == 4  # the fifth problem
    rows, _ = facts(tmp_path)
    assert {row.candidates for row in rows.values() if row.budget} == {1, 2}
    assert {row.stopped for row in rows.values() if row.budget and row.n == 4} == {"budget"}


async def test_a_changed_job_is_refused_with_what_differs(tmp_path):
    await run_job(job(), tmp_path, opener=small)
    with pytest.raises(ConfigError, match=r"sampling.max_tokens: 40 -> 9; count: 4 -> 3"):
        await run_job(job(sampling=Sampling(max_tokens=9), count=3), tmp_path, opener=small)
    fewer = (Grid(method="self_consistency", settings={"n": (1, 2), "early_stop": ("none",)}),)
    with pytest.raises(ConfigError, match="none n=4, best_of_n by arithmetic n=1"):
        await run_job(job(methods=fewer), tmp_path, opener=small)


async def test_another_model_behind_the_same_spelling_is_refused(tmp_path):
    await run_job(job(), tmp_path, opener=small)
    with pytest.raises(ConfigError, match="another model now"):
        await run_job(job(count=5), tmp_path, opener=lambda spec: ScriptedModel(replies=("7",)))


async def test_several_models_and_seeds_are_runs_of_their_own(tmp_path):
    methods = (Grid(method="self_consistency", settings={"n": (2,)}),)
    wanted = job(models=("a", "b"), seeds=(0, 1), methods=methods, keep_text=True)
    done = await run_job(wanted, tmp_path, opener=lambda spec: small_model(info=ModelInfo(fingerprint=spec)))
    rows, candidates = facts(tmp_path)
    assert done.done == len(rows) == 4 * 2 * 2
    assert {(row.model, row.seed) for row in rows.values()} == {("a", 0), ("a", 1), ("b", 0), ("b", 1)}
    assert {row.curve for row in rows.values()} == {"self_consistency@a", "self_consistency@b"}
    assert all(row.text for row in candidates.values())


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(concurrency=st.integers(1, 7), latency=st.sampled_from([0.0, (0.0, 0.004)]))
async def test_rows_do_not_depend_on_how_many_problems_run_at_once(tmp_path_factory, concurrency, latency):
    one, many = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("many")
    await run_job(job(), one, opener=small, concurrency=1)
    await run_job(job(), many, opener=lambda spec: small_model(info=INFO, latency=latency), concurrency=concurrency)
    assert facts(one) == facts(many)


async def test_the_brake_ends_a_job_with_whole_rows_and_the_next_call_goes_on(tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    await run_job(job(), whole, opener=small)
    brake = Brake()

    def tell(status):
        if status.done == 7:
            brake.cancel("Ctrl-C")

    done = await run_job(job(), part, opener=slow, concurrency=2, brake=brake, tell=tell)
    assert (done.stopped, done.detail) == ("cancelled", "Ctrl-C")
    assert 7 <= done.done < 24
    assert not done.missing
    again = await run_job(job(), part, opener=small)
    assert again.before == done.done
    assert facts(part) == facts(whole)


async def test_a_dead_endpoint_is_waited_for_and_its_run_made_again(tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    await run_job(job(), whole, opener=small)
    dead = range(6, 14)

    def replies(request, number):
        return EndpointDown("gone") if number in dead else small_reply(request, number)

    told = []
    model = ScriptedModel(replies=replies, name="small", info=INFO)
    done = await run_job(
        job(), part, opener=lambda spec: model, patience=QUICK, concurrency=2, tell=lambda s: told.append(s.waiting)
    )
    assert (done.done, done.stopped, dict(done.missing)) == (24, "done", {})
    assert any("gone" in line for line in told)
    assert told[-1] == ""
    assert facts(part) == facts(whole)


async def test_a_server_that_goes_down_and_comes_back_costs_no_row(tmp_path, monkeypatch):
    whole, part = tmp_path / "whole", tmp_path / "part"
    wanted = job(methods=(Grid(method="self_consistency", settings={"n": (1, 2)}),), count=6)
    down, missed = asyncio.Event(), asyncio.Event()

    def tell(status):
        if status.done >= 4:
            down.set()
        if "could not be reached" in status.waiting:
            missed.set()

    async def outage(port):
        await down.wait()
        await first.__aexit__(None, None, None)
        await missed.wait()
        site = web.TCPSite
        monkeypatch.setattr(web, "TCPSite", lambda runner, host, _, **options: site(runner, host, port, **options))
        return await FaultServer(says="12").__aenter__()

    first = await FaultServer(says="12", latency=0.02).__aenter__()

    def opener(spec):
        return OpenAI(model="m", base_url=first.url, kind="openai", retries=2, backoff=0.01)

    async with asyncio.TaskGroup() as group:
        second = group.create_task(outage(int(first.url.split(":")[2].partition("/")[0])))
        run = group.create_task(run_job(wanted, part, opener=opener, concurrency=2, patience=QUICK, tell=tell))
    done = run.result()
    assert (done.done, done.stopped, dict(done.missing)) == (12, "done", {})
    again = await run_job(wanted, whole, opener=opener)
    await second.result().__aexit__(None, None, None)
    assert again.done == 12
    assert facts(part) == facts(whole)
    assert {row.failed for row in facts(part)[0].values()} == {0}


async def test_an_endpoint_that_stays_away_ends_the_job_without_a_row(tmp_path):
    gone = ScriptedModel(dies_after=0)
    patience = Patience(first=0.01, longest=0.02, limit=0.05)
    done = await run_job(job(), tmp_path, opener=lambda spec: gone, patience=patience)
    assert done.stopped == "endpoint"
    assert "gone for too long" in done.detail
    assert done.done == 0
    assert read_rows(tmp_path / "rows.jsonl") == []


async def test_a_unit_that_breaks_while_the_endpoint_answers_is_left_out_after_three_tries(tmp_path):
    first = job().problems()[0].problem.task.prompt

    def replies(request, number):
        return EndpointDown("it fell over") if request.messages[-1].text == first else small_reply(request, number)

    told: list[str] = []
    model = ScriptedModel(replies=replies, name="small", info=INFO)
    done = await run_job(
        job(), tmp_path, opener=lambda spec: model, patience=QUICK, concurrency=1, tell=lambda s: told.append(s.waiting)
    )
    ((why, count),) = done.missing.items()
    assert "broken off 3 times, while the endpoint answered in between: " in why
    assert "it fell over" in why
    assert (count, done.done, done.stopped) == (6, 18, "done")
    waits = list(dict.fromkeys(line for line in told if line))
    assert len(waits) == 2  # none after the last try
    assert "attempt 2 of 5" in waits[0]
    assert "attempt 3 of 5" in waits[1]


async def test_a_problem_that_cannot_be_run_is_left_out_and_said(tmp_path):
    tight = small_model(info=ModelInfo(fingerprint="tight", context=5))
    done = await run_job(job(), tmp_path, opener=lambda spec: tight)
    assert (done.done, done.stopped) == (0, "done")
    assert sum(done.missing.values()) == 24
    assert all("takes 5 in all" in why for why in done.missing)


async def test_a_method_that_the_model_cannot_serve_is_refused_before_anything_is_spent(tmp_path):
    bare = ScriptedModel(access=frozenset())
    with pytest.raises(ConfigError, match="needs"):
        await run_job(job(), tmp_path, opener=lambda spec: bare)
    assert bare.calls == 0


async def test_two_writers_are_refused(tmp_path):
    brake = Brake()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run_job(job(), tmp_path, opener=slow, concurrency=1, brake=brake))
        await asyncio.sleep(0.02)
        with pytest.raises(BadInput, match="another process"):
            await run_job(job(), tmp_path, opener=small)
        brake.cancel()
    assert running.result().stopped == "cancelled"


KILLED = """
import asyncio, sys
from ponder.bench.runner import run_job
from tests.bench.job_worlds import job, slow
asyncio.run(run_job(job(), sys.argv[1], opener=slow, concurrency=2))
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_job_goes_on_without_repeating_or_losing_anything(tmp_path, seed):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    asyncio.run(run_job(job(), whole, opener=small))
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(killed)], cwd=Path(__file__).parents[2])
    wanted = random.Random(seed).randint(1, 20)
    try:
        for _ in range(1500):
            time.sleep(0.02)
            rows = killed / "rows.jsonl"
            if rows.exists() and rows.read_bytes().count(b"\n") >= wanted:
                break
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    for name in ("rows.jsonl", "candidates.jsonl"):
        with open(killed / name, "ab") as file:
            file.write(b'{"v": 2, "run": "torn')
    with closing(sqlite3.connect(killed / "store.sqlite")) as store:
        (stored,) = store.execute("SELECT count(*) FROM completions").fetchone()
    done = asyncio.run(run_job(job(), killed, opener=small))
    assert done.before >= 1
    assert facts(killed) == facts(whole)
    assert total(done.paid).calls == 16 - stored  # what was paid for is not paid for again
    runs = [row.run for row in read_rows(killed / "rows.jsonl")]
    assert list(read_packed(killed / "traces.sqlite", runs)) == runs
