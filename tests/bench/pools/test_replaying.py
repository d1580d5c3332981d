"""Rows by arrays are the rows of the methods themselves, live and on the replay model."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ponder.bench.curve import Point, run_points
from ponder.bench.pools.folder import read_problems
from ponder.bench.pools.plan import ALIASES, default_methods, default_sizes, points_of
from ponder.bench.pools.reading import read_arrays
from ponder.bench.pools.recorder import record_pool
from ponder.bench.pools.replaying import array_rows, method_rows
from ponder.bench.pools.scoring import Judge
from ponder.bench.pools.selectors import way_of
from ponder.bench.rows import Row
from ponder.core.errors import ConfigError, UnknownName
from ponder.core.model import Model, ModelInfo, Sampling
from ponder.core.store import Store
from ponder.core.usage import Usage
from ponder.models.replay import ReplayModel
from tests.bench.bench_doubles import small_model
from tests.bench.job_worlds import small
from tests.bench.pools.pool_worlds import LAW, made, recording

SPEC = "scripted:small"
METHODS = [
    "greedy",
    "self_consistency",
    "self_certainty",
    "borda_voting",
    "borda_voting:power=0|3",
    "best_of_n",
    "best_of_n:weighted=true",
]


def points(path: Path, *methods: str) -> list[Point]:
    pool = read_arrays(path)
    return [point for text in methods for point in points_of(text, [1, 2, 3, 6], pool, model=SPEC)]


def comparable(row: Row) -> tuple[str, Row]:
    """Leave out what only a live run has: the clock, what was paid, the trace; and the key, which is another."""
    plain = replace(
        row,
        run="",
        seconds=None,
        measured=False,
        paid={},
        result="",
        model="",
        fingerprint="",
        settings=dict(row.settings),
    )
    return f"{row.problem} {row.curve} {row.n}", plain


def live(path: Path, wanted: list[Point], model: Model, *, law: Sampling = LAW, roles: Any = None) -> dict[str, Row]:
    async def run() -> list[Row]:
        rows = []
        for named in read_problems(path):
            runs = await run_points(
                named.problem, wanted, model=model, store=Store(), family=named.family, sampling=law, roles=roles
            )
            rows += [found.row for found in runs]
        return rows

    return dict(map(comparable, asyncio.run(run())))


@pytest.mark.parametrize("source", ["live", "replay"])
def test_rows_are_those_of_the_methods(tmp_path: Path, source: str) -> None:
    made(tmp_path, greedy=True, count=6)
    wanted = points(tmp_path, *METHODS)
    model = small(SPEC) if source == "live" else ReplayModel.from_spec(str(tmp_path))
    found = dict(map(comparable, array_rows(read_arrays(tmp_path), wanted)))
    expected = live(tmp_path, wanted, model)
    assert len(found) == len(expected) == 6 * (1 + 4 * 7)
    assert found.keys() == expected.keys()
    for key, row in found.items():
        assert row == expected[key], key


def test_what_a_judge_cost_is_in_the_rows_under_its_role(tmp_path: Path) -> None:
    judge = small_model(info=ModelInfo(fingerprint="judge"))

    def opened(spec: str) -> Model:
        return judge if spec == "scripted:judge" else small(spec)

    made(tmp_path, opener=opened, judges=(Judge(name="judge"),), roles={"judge": "scripted:judge"}, n=4)
    pool = read_arrays(tmp_path)
    wanted = points_of("best_of_n", [1, 2, 4], pool, model=SPEC)
    rows = {(row.problem, row.n): row for row in array_rows(pool, wanted)}
    expected = live(tmp_path, wanted, small(SPEC), roles={"judge": judge})
    for (problem, n), row in rows.items():
        twin = expected[f"{problem} {row.curve} {n}"]
        assert (row.answer, row.correct, row.usage["policy"]) == (twin.answer, twin.correct, twin.usage["policy"])
        assert row.roles == {"judge": "scripted:judge"}
        if n == 4:
            assert row.usage["judge"] == replace(twin.usage["judge"], exact=False)
        else:  # an even share of the whole, marked as such
            whole = rows[problem, 4].usage["judge"].calls
            assert whole * n // 4 <= row.usage["judge"].calls <= whole * n // 4 + n
            assert not row.usage["judge"].exact


def test_rows_say_nothing_was_paid_and_have_keys_of_their_own(tmp_path: Path) -> None:
    made(tmp_path)
    rows = list(array_rows(read_arrays(tmp_path), points(tmp_path, "majority", "best_of_n"), orders=3))
    assert len({row.run for row in rows}) == len(rows) == 4 * 2 * 4 * 3
    assert all(used == Usage() for row in rows for used in row.paid.values())
    assert {row.seed for row in rows} == {0, 1, 2}
    assert {row.fingerprint for row in rows} == {"small"}


def test_methods_that_arrays_do_not_know_run_on_the_replay_model(tmp_path: Path) -> None:
    made(tmp_path)
    pool = read_arrays(tmp_path)
    wanted = points(tmp_path, "self_consistency:early_stop=exact", "best_of_n:accept=1")
    assert {way_of(point, pool) for point in wanted} == {"replay"}
    rows = asyncio.run(method_rows(pool, read_problems(tmp_path), wanted, ReplayModel.from_spec(str(tmp_path))))
    by_arrays = dict(map(comparable, array_rows(pool, points(tmp_path, "majority"))))
    votes = [row for row in rows if row.method == "self_consistency"]
    assert len(votes) == 16
    for row in votes:
        twin = by_arrays[f"{row.problem} {row.curve.replace('exact', 'none')} {row.n}"]
        assert row.answer == twin.answer
        assert row.nominal.calls <= twin.nominal.calls
        assert row.fingerprint == "small"


@pytest.mark.parametrize("method", ["universal_self_consistency", "critique_refine"])
def test_methods_that_need_new_calls_are_refused_in_one_line(tmp_path: Path, method: str) -> None:
    made(tmp_path)
    pool = read_arrays(tmp_path)
    (point,) = (p for p in points_of(method, [2], pool, model=SPEC))
    with pytest.raises(ConfigError, match="makes calls that no pool of samples holds") as told:
        way_of(point, pool)
    assert "\n" not in str(told.value)


def test_scores_that_were_not_recorded_are_named(tmp_path: Path) -> None:
    made(tmp_path)
    pool = read_arrays(tmp_path)
    (point,) = points_of("best_of_n:verifier=constraints", [2], pool, model=SPEC)
    with pytest.raises(ConfigError, match=r"no scores by 'constraints' \(it holds: arithmetic\).*record score"):
        way_of(point, pool)


def test_a_pool_without_scores_certainty_or_greedy_answers_says_so(tmp_path: Path) -> None:
    made(tmp_path, judges=())
    pool = read_arrays(tmp_path)
    with pytest.raises(ConfigError, match="holds none"):
        points_of("best_of_n", [2], pool, model=SPEC)
    (greedy,) = points_of("greedy", [2], pool, model=SPEC)
    with pytest.raises(ConfigError, match="--greedy"):
        way_of(greedy, pool)
    assert default_methods(pool) == ["self_consistency", "self_certainty", "borda_voting"]
    pool.samples.certainty[:] = float("nan")
    (borda,) = points_of("borda", [2], pool, model=SPEC)
    with pytest.raises(ConfigError, match="certainty"):
        way_of(borda, pool)


def test_likely_tokens_that_were_not_recorded_are_named(tmp_path: Path) -> None:
    made(tmp_path)
    pool = read_arrays(tmp_path)
    (two,) = points_of("borda_voting:top_k=2", [2], pool, model=SPEC)
    with pytest.raises(ConfigError, match="the pool holds 1: record with --logprobs 2"):
        way_of(two, pool)
    (one,) = points_of("borda_voting:top_k=1", [2], pool, model=SPEC)
    assert way_of(one, pool) == "replay"


def test_budgets_are_no_matter_of_replay(tmp_path: Path) -> None:
    made(tmp_path)
    pool = read_arrays(tmp_path)
    (point,) = points_of("majority", [2], pool, model=SPEC)
    with pytest.raises(ConfigError, match="budget"):
        way_of(replace(point, budget="tokens=10"), pool)


def test_spelling_of_methods_and_sizes(tmp_path: Path) -> None:
    made(tmp_path)
    pool = read_arrays(tmp_path)
    assert default_sizes(pool) == [1, 2, 4, 6]
    for short, name in ALIASES.items():
        assert {p.method for p in points_of(short, [1, 2], pool, model=SPEC)} == {name}
    curves = {p.curve for p in points_of("borda_voting:power=0|1.5,n=4", [1, 2], pool, model=SPEC)}
    assert curves == {f"borda_voting power={power}@{SPEC}" for power in ("0.0", "1.5")}
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        points_of("borda_voting:power", [1], pool, model=SPEC)
    with pytest.raises(ConfigError, match="no setting"):
        points_of("borda_voting:colour=red", [1], pool, model=SPEC)
    with pytest.raises(UnknownName):
        points_of("no_such_method", [1], pool, model=SPEC)


@pytest.mark.embedded
@pytest.mark.slow
def test_a_pool_of_the_embedded_model_replays_as_the_methods_do(tmp_path: Path) -> None:
    law = Sampling(max_tokens=16)
    wanted = recording(model="llamacpp:smollm2", count=2, n=4, sampling=law)
    done = asyncio.run(record_pool(wanted, tmp_path))
    assert (done.done, done.paid["policy"].calls) == (2, 8)
    assert asyncio.run(record_pool(wanted, tmp_path)).paid == {}
    pool = read_arrays(tmp_path)
    assert not np.isnan(pool.samples.logprob).any()
    by_arrays = points(tmp_path, "majority", "best_of_n", "best_of_n:weighted=true")
    found = dict(map(comparable, array_rows(pool, [point for point in by_arrays if point.n in (1, 2)])))
    replayed = live(tmp_path, [p for p in by_arrays if p.n in (1, 2)], ReplayModel.from_spec(str(tmp_path)), law=law)
    assert found == replayed
    assert all(row.costs["flops"] > 0 for row in found.values())
