"""Recording: whole and graded, nothing paid twice however it ends, and gold in no sample."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ponder.bench.pools.folder import PoolFolder, read_problems
from ponder.bench.pools.recorder import record_pool
from ponder.bench.pools.rescoring import score_pool
from ponder.bench.pools.scoring import Judge, shares
from ponder.core.access import Access
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Sampling
from ponder.core.usage import Usage
from ponder.models.replay import read_facts, read_pool
from tests.bench.bench_doubles import small_model
from tests.bench.job_worlds import INFO, small
from tests.bench.pools.pool_worlds import made, recording


def test_a_pool_holds_every_sample_with_grade_scores_and_certainty(tmp_path: Path) -> None:
    done = made(tmp_path / "pool", greedy=True)
    records = read_pool(tmp_path / "pool")
    assert (done.done, done.missing) == (4, {})
    assert len(records) == 4 * 7
    by_problem: dict[str, list[int]] = {}
    for record in records:
        if not record.greedy:
            by_problem.setdefault(record.problem, []).append(record.index)
        assert record.grade is not None
        assert record.completion.certainty is not None
        assert record.completion.tokens is not None
        assert record.completion.tokens.logprobs is not None
        assert set(record.scores) == {"arithmetic"}
        assert record.counted
    assert set(map(tuple, by_problem.values())) == {tuple(range(6))}
    references = {named.problem.task.id: named.problem.reference for named in read_problems(tmp_path / "pool")}
    for record in records:
        assert record.grade == (record.answer == references[record.problem])


def test_groups_name_the_first_equal_answer(tmp_path: Path) -> None:
    made(tmp_path)
    runs: dict[str, list[str | None]] = {}
    for record in read_pool(tmp_path):
        answers = runs.setdefault(record.problem, [])
        answers.append(record.answer)
        assert record.group == (None if record.answer is None else answers.index(record.answer))


def test_a_finished_pool_costs_nothing_and_growing_it_costs_the_difference(tmp_path: Path) -> None:
    assert made(tmp_path, n=2).paid["policy"].calls == 8
    again = made(tmp_path, n=2)
    assert (again.before, again.paid) == (4, {})
    grown = made(tmp_path, n=6)
    assert grown.paid["policy"].calls == 16
    assert len(read_pool(tmp_path)) == 24
    assert made(tmp_path, n=6, count=5).paid["policy"].calls == 6
    scored = made(tmp_path, n=6, count=5, judges=(Judge(name="arithmetic"), Judge(name="constraints")))
    assert sum(used.calls for used in scored.paid.values()) == 0
    assert {label for record in read_pool(tmp_path) for label in record.scores} == {"arithmetic", "constraints"}
    assert set(read_facts(tmp_path)["verifiers"]) == {"arithmetic", "constraints"}


def test_grown_pools_are_those_recorded_at_once(tmp_path: Path) -> None:
    made(tmp_path / "grown", n=2)
    made(tmp_path / "grown", n=6)
    made(tmp_path / "whole", n=6)
    grown, whole = (
        sorted(read_pool(tmp_path / name), key=lambda r: (r.problem, r.index)) for name in ("grown", "whole")
    )
    assert grown == whole


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"seed": 1}, "seed: 0 -> 1"),
        ({"sampling": Sampling(max_tokens=41)}, "sampling"),
        ({"logprobs": 0}, "logprobs: 1 -> 0"),
    ],
)
def test_another_law_is_refused(tmp_path: Path, fields: dict, told: str) -> None:
    made(tmp_path)
    before = (tmp_path / "samples.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=told):
        made(tmp_path, **fields)
    assert (tmp_path / "samples.jsonl").read_bytes() == before


def test_another_model_is_refused(tmp_path: Path) -> None:
    made(tmp_path)
    with pytest.raises(ConfigError, match="model: small -> other"):
        made(tmp_path, opener=lambda spec: small_model(info=replace(INFO, fingerprint="other")))


def test_logprobs_are_refused_where_the_model_gives_none(tmp_path: Path) -> None:
    blind = frozenset({Access.TEXT, Access.SEED})
    with pytest.raises(ConfigError, match="--logprobs"):
        made(tmp_path, opener=lambda spec: small_model(info=INFO, access=blind), logprobs=2)
    done = made(tmp_path / "plain", opener=lambda spec: small_model(info=INFO, access=blind))
    assert done.done == 4
    assert read_facts(tmp_path / "plain")["logprobs"] == 0


@pytest.mark.parametrize("fields", [{"n": 0}, {"logprobs": -1}, {"judges": (Judge(name="arithmetic"),) * 2}])
def test_settings_without_sense_are_refused(fields: dict) -> None:
    with pytest.raises(ConfigError):
        recording(**fields)


def test_samples_at_temperature_0_are_refused() -> None:
    with pytest.raises(ConfigError, match="temperature 0"):
        recording(sampling=Sampling(temperature=0))


def test_failed_calls_leave_their_problem_out_and_the_next_session_pays_for_them_alone(tmp_path: Path) -> None:
    first = made(tmp_path, opener=lambda spec: small_model(info=INFO, fail_every=7), more={"concurrency": 1})
    assert first.missing
    assert first.done + sum(first.missing.values()) == 4
    held = {record.problem for record in read_pool(tmp_path)}
    assert len(held) == first.done
    second = made(tmp_path)
    assert second.done == 4
    failures = 24 // 7
    assert second.paid["policy"].calls == failures


def test_a_torn_last_line_is_cut_and_recorded_again_for_nothing(tmp_path: Path) -> None:
    made(tmp_path)
    file = tmp_path / "samples.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) - 200])
    again = made(tmp_path)
    assert sum(used.calls for used in again.paid.values()) == 0
    assert len(read_pool(tmp_path)) == 24
    assert again.done == 4


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    made(tmp_path)
    with PoolFolder(tmp_path, read_facts(tmp_path), []), pytest.raises(BadInput, match="another process"):
        made(tmp_path)


def test_samples_without_their_facts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text("{}\n")
    with pytest.raises(BadInput, match=r"no pool\.json"):
        made(tmp_path)


KILLED = """
import asyncio, sys
from tests.bench.bench_doubles import small_model
from tests.bench.job_worlds import INFO
from tests.bench.pools.pool_worlds import recording
from ponder.bench.pools.recorder import record_pool

def slow(spec):
    return small_model(info=INFO, latency=0.05)

asyncio.run(record_pool(recording(count=12), sys.argv[1], opener=slow, concurrency=1))
"""


def test_kill_9_loses_no_answer_and_pays_for_none_twice(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(pool)]) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if (pool / "samples.jsonl").exists() and (pool / "samples.jsonl").stat().st_size:
                break
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    import sqlite3

    with sqlite3.connect(pool / "store.sqlite") as store:
        (kept,) = store.execute("SELECT count(*) FROM completions").fetchone()
    assert kept >= 6
    done = made(pool, count=12)
    assert done.done == 12
    assert done.before >= 1
    assert done.paid["policy"].calls == 12 * 6 - kept
    made(tmp_path / "whole", count=12)
    left, right = (sorted(read_pool(path), key=lambda r: (r.problem, r.index)) for path in (pool, tmp_path / "whole"))
    assert left == right


def test_scores_of_earlier_sessions_stay_and_cover_new_samples(tmp_path: Path) -> None:
    made(tmp_path, n=2)
    made(tmp_path, n=4, judges=(Judge(name="constraints"),))
    assert all(set(record.scores) == {"arithmetic", "constraints"} for record in read_pool(tmp_path))
    asyncio.run(score_pool(tmp_path, [Judge(name="countdown")]))
    made(tmp_path, n=5, judges=())
    records = read_pool(tmp_path)
    assert len(records) == 20
    assert all(set(record.scores) == {"arithmetic", "constraints", "countdown"} for record in records)


def test_another_model_in_a_role_is_refused(tmp_path: Path) -> None:
    made(tmp_path, roles={"judge": "scripted:a"})
    with pytest.raises(ConfigError, match="judge: scripted:a -> scripted:b"):
        made(tmp_path, roles={"judge": "scripted:b"})


def test_gold_is_in_no_sample_and_no_replayed_task(tmp_path: Path) -> None:
    made(tmp_path)
    for line in (tmp_path / "samples.jsonl").read_text().splitlines():
        assert "reference" not in json.loads(line)
    for named in read_problems(tmp_path):
        assert "reference" not in named.problem.task.metadata


def test_a_judge_of_a_model_is_paid_under_its_role(tmp_path: Path) -> None:
    def opened(spec: str):
        return small(spec) if spec == "scripted:small" else small_model(info=replace(INFO, fingerprint="j"))

    fields: dict[str, Any] = {
        "judges": (Judge(name="judge"),),
        "roles": {"judge": "scripted:judge"},
        "count": 2,
        "n": 3,
    }
    done = made(tmp_path, opener=opened, **fields)
    assert done.paid["judge"].calls > 0
    judging = [record.judging.get("judge", {}).get("judge", Usage()) for record in read_pool(tmp_path)]
    assert sum(used.calls for used in judging) == done.paid["judge"].calls
    again = made(tmp_path, opener=opened, **fields)
    assert not again.paid


def test_shares_add_up() -> None:
    whole = Usage(calls=7, prompt_tokens=101, completion_tokens=5, usd=0.5)
    parts = shares(whole, 3)
    assert sum(parts, Usage()).calls == 7
    assert sum(part.prompt_tokens for part in parts) == 101
    assert [part.completion_tokens for part in parts] == [2, 2, 1]
    assert sum(part.usd or 0 for part in parts) == pytest.approx(0.5)
    assert not any(part.exact for part in parts)
    assert shares(whole, 1)[0].exact


def test_concurrency_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        asyncio.run(record_pool(recording(), tmp_path, opener=small, concurrency=0))
