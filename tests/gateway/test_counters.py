"""One battery for every store of counters: SQLite, and real Redis and PostgreSQL servers where they are installed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput
from ponder.core.tasks import gather_all
from ponder.gateway import counters_sqlite, sqlite_worker
from ponder.gateway.counters import LATE, Ask, Balance, Counters, CountersDown, Short, Window, decide, open_counters
from ponder.gateway.counters_sqlite import SqliteCounters
from tests.gateway import servers

FAR = 4e9  # seconds; a time after all tests


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with servers.redis() as url:
        yield url


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    with servers.postgres() as url:
        yield url


@pytest.fixture(params=["memory", "sqlite", "redis", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    match request.param:
        case "memory":
            return ":memory:"
        case "sqlite":
            return str(tmp_path / "counters.sqlite")
        case "redis":
            import redis.asyncio

            address = request.getfixturevalue("redis_url")
            async with redis.asyncio.Redis.from_url(address) as client:
                await client.flushall()
            return str(address)
        case _:
            import asyncpg

            address = request.getfixturevalue("postgres_url")
            db = await asyncpg.connect(address)
            await db.execute("DROP TABLE IF EXISTS ponder_counters, ponder_reservations")
            await db.close()
            return str(address)


@pytest.fixture
async def counters(url: str) -> AsyncIterator[Counters]:
    store = await open_counters(url)
    yield store
    await store.close()


def ask(
    wanted: int, *windows: tuple[str, int | None], least: int = 1, unit: str = "tokens", forgotten: float = FAR
) -> Ask:
    made = tuple(Window(counter=name, limit=limit, ends=FAR, forgotten=forgotten) for name, limit in windows)
    return Ask(unit=unit, wanted=wanted, least=least, windows=made)


async def test_reserve_then_settle_gives_back_the_rest(counters: Counters) -> None:
    assert await counters.reserve("r", [ask(60, ("a", 100), ("all", None))], expires=FAR) == {"tokens": 60}
    assert await counters.read(["a", "all", "none"]) == {
        "a": Balance(0, 60),
        "all": Balance(0, 60),
        "none": Balance(),
    }
    assert await counters.settle("r", {"tokens": 25})
    assert await counters.read(["a", "all"]) == {"a": Balance(25, 0), "all": Balance(25, 0)}


async def test_the_tightest_window_clips_all(counters: Counters) -> None:
    asks = [ask(60, ("a", 100), ("all", 40)), ask(9, ("usd", 7), unit="nanousd")]
    assert await counters.reserve("r", asks, expires=FAR) == {"tokens": 40, "nanousd": 7}
    assert await counters.read(["a", "all", "usd"]) == {
        "a": Balance(0, 40),
        "all": Balance(0, 40),
        "usd": Balance(0, 7),
    }


async def test_one_short_window_refuses_everything(counters: Counters) -> None:
    await counters.reserve("first", [ask(95, ("a", 100))], expires=FAR)
    await counters.settle("first", {"tokens": 90})
    await counters.reserve("second", [ask(4, ("a", 100))], expires=FAR)
    asks = [ask(50, ("b", 100), ("a", 100), least=7), ask(1, ("usd", 7), unit="nanousd")]
    outcome = await counters.reserve("r", asks, expires=FAR)
    assert isinstance(outcome, Short)
    assert outcome.windows == (("tokens", asks[0].windows[1], Balance(90, 4)),)
    assert await counters.read(["b", "usd"]) == {"b": Balance(), "usd": Balance()}
    assert not await counters.settle("r", {"tokens": 1})


async def test_all_short_windows_are_named(counters: Counters) -> None:
    asks = [ask(5, ("a", 3), ("b", 9), least=5), ask(2, ("c", 1), least=2, unit="nanousd")]
    outcome = await counters.reserve("r", asks, expires=FAR)
    assert isinstance(outcome, Short)
    assert [(unit, window.counter) for unit, window, _ in outcome.windows] == [("tokens", "a"), ("nanousd", "c")]


async def test_a_second_settlement_changes_nothing(counters: Counters) -> None:
    await counters.reserve("r", [ask(10, ("a", 100))], expires=FAR)
    assert await counters.settle("r", {"tokens": 3})
    assert not await counters.settle("r", {"tokens": 9})
    assert await counters.read(["a"]) == {"a": Balance(3, 0)}


async def test_spending_above_the_reservation_is_booked_as_billed(counters: Counters) -> None:
    await counters.reserve("r", [ask(10, ("a", 10))], expires=FAR)
    await counters.settle("r", {"tokens": 14})
    assert await counters.read(["a"]) == {"a": Balance(14, 0)}
    assert isinstance(await counters.reserve("s", [ask(1, ("a", 10))], expires=FAR), Short)


async def test_an_ended_lease_counts_in_full_and_a_late_settlement_still_corrects_it(counters: Counters) -> None:
    await counters.reserve("dead", [ask(10, ("a", 100))], expires=1000.5)
    await counters.reserve("slow", [ask(20, ("a", 100))], expires=1001.0)
    await counters.reserve("alive", [ask(30, ("a", 100))], expires=2000.0)
    assert await counters.expire(1000.0) == 0
    assert await counters.expire(1001.0) == 2
    assert await counters.expire(1001.0) == 0
    assert await counters.read(["a"]) == {"a": Balance(30, 30)}
    assert await counters.settle("slow", {"tokens": 5})
    assert not await counters.settle("slow", {"tokens": 5})
    assert await counters.settle("alive", {})
    assert await counters.read(["a"]) == {"a": Balance(15, 0)}


async def test_after_some_days_an_ended_lease_is_no_longer_corrected(counters: Counters) -> None:
    await counters.reserve("r", [ask(5, ("a", 9))], expires=100.0)
    await counters.expire(100.0)
    await counters.expire(99.0 + LATE)
    await counters.reserve("s", [ask(1, ("a", 9))], expires=100.0 + LATE)
    await counters.expire(100.0 + LATE)
    assert not await counters.settle("r", {"tokens": 1})
    assert await counters.settle("s", {"tokens": 0})
    assert await counters.read(["a"]) == {"a": Balance(5, 0)}


async def test_big_amounts_stay_exact(counters: Counters) -> None:
    million = 1_000_000 * 10**9  # a million dollars in billionths
    await counters.reserve("r", [ask(million + 1, ("a", 2 * million))], expires=FAR)
    await counters.settle("r", {"tokens": million + 1})
    assert await counters.read(["a"]) == {"a": Balance(million + 1, 0)}
    assert await counters.reserve("s", [ask(10**17, ("a", 2 * million))], expires=FAR) == {"tokens": million - 1}


async def test_names_may_hold_anything(counters: Counters) -> None:
    name = 'key:o\'h "{x}"|tokens|2026-11-26 é'
    await counters.reserve("r", [ask(5, (name, 9))], expires=FAR)
    await counters.settle("r", {"tokens": 2})
    assert await counters.read([name]) == {name: Balance(2, 0)}


async def test_concurrent_reservations_never_pass_the_limit(counters: Counters) -> None:
    names = [f"r{index}" for index in range(60)]
    asks = [ask(7, ("key", None), ("all", 100), least=3)]
    outcomes = await gather_all([partial(counters.reserve, name, asks, expires=FAR) for name in names])
    granted = [outcome["tokens"] for outcome in outcomes if not isinstance(outcome, Short)]
    assert sorted(granted) == [7] * 14  # 98 of 100; the 2 that are left are less than the least amount
    assert await counters.read(["all", "key"]) == {"all": Balance(0, 98), "key": Balance(0, 98)}


async def test_two_replicas_share_the_counters(url: str) -> None:
    if url == ":memory:":
        pytest.skip("exempt: nothing is shared in memory")
    first, second = await open_counters(url), await open_counters(url)
    try:
        stores = [first, second]
        outcomes = await gather_all(
            [partial(stores[i % 2].reserve, f"r{i}", [ask(5, ("all", 100))], expires=FAR) for i in range(40)]
        )
        assert sum(not isinstance(outcome, Short) for outcome in outcomes) == 20
        assert await second.settle("r0", {"tokens": 1}) or isinstance(outcomes[0], Short)
        assert await first.read(["all"]) == await second.read(["all"])
    finally:
        await first.close()
        await second.close()


class Twin:
    """The contract in plain Python, for comparison: reservations in a list, sums made anew each time."""

    def __init__(self) -> None:
        self.spent: list[tuple[str, int]] = []
        self.held: dict[str, tuple[float, bool, list[tuple[str, str, int]]]] = {}

    def balance(self, name: str) -> Balance:
        live = [amount for _, open_, parts in self.held.values() for n, _, amount in parts if open_ and n == name]
        return Balance(sum(amount for n, amount in self.spent if n == name), sum(live))

    def reserve(self, reservation: str, asks: Sequence[Ask], expires: float) -> dict[str, int] | None:
        granted = {}
        for one in asks:
            lefts = []
            for window in one.windows:
                if window.limit is not None:
                    now = self.balance(window.counter)
                    lefts.append(window.limit - now.spent - now.reserved)
            if any(left < one.least for left in lefts):
                return None
            granted[one.unit] = max(0, min([one.wanted, *lefts]))
        parts = [(window.counter, one.unit, granted[one.unit]) for one in asks for window in one.windows]
        self.held[reservation] = (expires, True, parts)
        return granted

    def settle(self, reservation: str, used: dict[str, int]) -> bool:
        if reservation not in self.held:
            return False
        _, open_, parts = self.held.pop(reservation)
        self.spent += [(name, used.get(unit, 0) - (0 if open_ else amount)) for name, unit, amount in parts]
        return True

    def expire(self, now: float) -> int:
        ended = [name for name, (expires, open_, _) in self.held.items() if open_ and expires <= now]
        for name in ended:
            expires, _, parts = self.held[name]
            self.spent += [(counter, amount) for counter, _, amount in parts]
            self.held[name] = (expires, False, parts)
        return len(ended)


@pytest.mark.parametrize("seed", range(4))
async def test_agrees_with_a_plain_twin(counters: Counters, seed: int) -> None:
    rng, twin, now = random.Random(seed), Twin(), 1000.0
    names = ["a", "b", "all"]
    for step in range(120):
        now += rng.random() * 3
        match rng.randrange(5):
            case 0 | 1:
                asks = []
                for unit in rng.sample(["tokens", "nanousd", "requests"], rng.randint(1, 3)):
                    wanted = rng.randint(0, 30)
                    windows = [(f"{name}|{unit}", rng.choice([None, 40, 90])) for name in rng.sample(names, 2)]
                    asks.append(ask(wanted, *windows, least=rng.randint(0, wanted), unit=unit))
                outcome = await counters.reserve(f"r{step}", asks, expires=now + 10)
                assert (None if isinstance(outcome, Short) else outcome) == twin.reserve(f"r{step}", asks, now + 10)
            case 2 | 3:
                name = f"r{rng.randrange(step + 1)}"
                used = {unit: rng.randint(0, 12) for unit in rng.sample(["tokens", "nanousd", "requests"], 2)}
                assert await counters.settle(name, used) == twin.settle(name, used)
            case _:
                assert await counters.expire(now) == twin.expire(now)
        every = [f"{name}|{unit}" for name in names for unit in ("tokens", "nanousd", "requests")]
        assert await counters.read(every) == {name: twin.balance(name) for name in every}


@given(
    limits=st.lists(st.none() | st.integers(0, 50), min_size=1, max_size=4),
    held=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=4, max_size=4),
    wanted=st.integers(0, 60),
    least=st.integers(0, 60),
)
def test_decide_grants_what_fits_and_no_more(
    limits: list[int | None], held: list[tuple[int, int]], wanted: int, least: int
) -> None:
    least = min(least, wanted)
    balances = {str(index): Balance(*pair) for index, pair in enumerate(held)}
    outcome = decide([ask(wanted, *((str(i), limit) for i, limit in enumerate(limits)), least=least)], balances)
    fits = [
        amount
        for amount in range(least, wanted + 1)
        if all(limit is None or sum(held[i]) + amount <= limit for i, limit in enumerate(limits))
    ]
    assert (None if isinstance(outcome, Short) else outcome["tokens"]) == max(fits, default=None)


# -- faults --------------------------------------------------------------------------------------------------------


async def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "counters.sqlite"
    first = SqliteCounters(file)
    await first.reserve("settled", [ask(10, ("a", 100))], expires=FAR)
    await first.settle("settled", {"tokens": 4})
    await first.reserve("running", [ask(10, ("a", 100))], expires=50.0)
    await first.close()
    second = SqliteCounters(file)
    assert await second.read(["a"]) == {"a": Balance(4, 10)}
    assert await second.expire(50.0) == 1
    assert await second.read(["a"]) == {"a": Balance(14, 0)}
    await second.close()


def _killed_after(lines: int, script: str) -> int:
    """Run a script, kill it when it has printed so many lines, and return how many it had printed in the end."""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        return len(told) + sum(line.endswith("\n") for line in process.stdout)


async def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "counters.sqlite"
    script = f"""
import asyncio, sys
from ponder.gateway.counters import Ask, Window
from ponder.gateway.counters_sqlite import SqliteCounters
async def main():
    store = SqliteCounters({str(file)!r})
    window = Window(counter="a", limit=None, ends={FAR}, forgotten={FAR})
    for index in range(10 ** 6):
        await store.reserve(f"r{{index}}", [Ask(unit="tokens", wanted=3, least=0, windows=(window,))], expires={FAR})
        await store.settle(f"r{{index}}", {{"tokens": 2}})
        print(index, flush=True)
asyncio.run(main())
"""
    told = await asyncio.to_thread(_killed_after, 30, script)
    store = SqliteCounters(file)
    (balance,) = (await store.read(["a"])).values()
    assert balance.spent // 2 in (told, told + 1)  # it may have died between the commit and the line
    assert balance.reserved in (0, 3)
    await store.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteCounters(tmp_path / "counters.sqlite")
    await store.close()
    await store.close()
    with pytest.raises(CountersDown, match="closed"):
        await store.read(["a"])


def test_a_file_that_is_no_database_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("not a database, but long enough to be looked at as one" * 20)
    with pytest.raises(BadInput, match="cannot use the database"):
        SqliteCounters(tmp_path / "x")


async def test_a_failing_order_does_not_take_its_batch_with_it(tmp_path: Path) -> None:
    worker = sqlite_worker.SqliteWorker(tmp_path / "x", ["CREATE TABLE t (n INTEGER PRIMARY KEY)"])

    def insert(number: int, db: object) -> None:
        db.execute("INSERT INTO t VALUES (?)", (number,))  # type: ignore[attr-defined]

    async def outcome(number: int) -> str:
        try:
            await worker.run(partial(insert, number))
        except Exception as err:
            return type(err).__name__
        return "ok"

    outcomes = await gather_all([partial(outcome, number) for number in (1, 2, 2, 3, 1, 4)])
    assert outcomes == ["ok", "ok", "IntegrityError", "ok", "IntegrityError", "ok"]
    assert await worker.run(lambda db: db.execute("SELECT n FROM t").fetchall()) == [(1,), (2,), (3,), (4,)]
    await worker.close()


async def test_a_file_that_another_process_holds_fails_all_that_wait_at_once_and_recovers(tmp_path: Path) -> None:
    worker = sqlite_worker.SqliteWorker(tmp_path / "x", ["CREATE TABLE t (n INTEGER)"], patience=0.2)
    holder = sqlite3.connect(tmp_path / "x", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    async def outcome() -> str:
        try:
            return str(await worker.run(lambda db: db.execute("INSERT INTO t VALUES (1)").rowcount))
        except sqlite3.OperationalError as err:
            return str(err)

    outcomes = await gather_all([outcome] * 20)
    assert outcomes == ["database is locked"] * 20
    holder.execute("ROLLBACK")
    assert await outcome() == "1"
    holder.close()
    await worker.close()


async def test_work_whose_waiter_was_cancelled_is_done_all_the_same() -> None:
    store = SqliteCounters()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(store.reserve("r", [ask(5, ("a", 9))], expires=FAR))
        await asyncio.sleep(0)
        task.cancel()
    assert await store.read(["a"]) == {"a": Balance(0, 5)}
    await store.close()


async def test_a_step_waits_for_another_process_without_holding_up_the_loop(tmp_path: Path) -> None:
    store = SqliteCounters(tmp_path / "counters.sqlite")
    holder = sqlite3.connect(tmp_path / "counters.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(store.reserve("r", [ask(5, ("a", 9))], expires=FAR))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waits.done()  # and this line was reached
        holder.execute("COMMIT")
    assert waits.result() == {"tokens": 5}
    assert await store.settle("r", {"tokens": 2})
    assert await store.read(["a"]) == {"a": Balance(2, 0)}
    holder.close()
    await store.close()


async def test_a_settlement_does_not_overtake_its_reservation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is free again, and the thread that the reservation waits in has not noticed it yet."""
    gate = threading.Event()

    class Late(sqlite_worker.SqliteWorker):
        def _serve(self) -> None:
            gate.wait(10.0)
            super()._serve()

    monkeypatch.setattr(counters_sqlite, "SqliteWorker", Late)
    file = tmp_path / "counters.sqlite"
    counters = SqliteCounters(file)
    async with asyncio.TaskGroup() as group:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            reserving = group.create_task(counters.reserve("r", [ask(10, ("a", 100))], expires=FAR))
            for _ in range(5):
                await asyncio.sleep(0)
            assert counters._worker is not None
            other.execute("ROLLBACK")
        reserving.cancel()
        settling = group.create_task(counters.settle("r", {}))
        for _ in range(5):
            await asyncio.sleep(0)
        gate.set()
    assert settling.result()
    assert await counters.read(["a"]) == {"a": Balance()}
    await counters.close()


async def test_a_thread_that_cannot_open_the_file_is_down_and_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise BadInput("no such file")

    monkeypatch.setattr(counters_sqlite, "SqliteWorker", broken)
    file = tmp_path / "counters.sqlite"
    counters = SqliteCounters(file)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CountersDown, match="no such file"):
            await asyncio.wait_for(counters.read(["a"]), 10.0)
        other.execute("ROLLBACK")
    assert await counters.read(["a"]) == {"a": Balance()}
    await counters.close()


async def test_the_log_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters_sqlite, "_STEPS", 50)
    store = SqliteCounters(tmp_path / "counters.sqlite")
    log = tmp_path / "counters.sqlite-wal"
    largest = 0
    for index in range(1000):
        await store.reserve(f"r{index}", [ask(5, ("a", 10**9))], expires=FAR)
        await store.settle(f"r{index}", {"tokens": 1})
        await asyncio.sleep(0.0001)
        largest = max(largest, log.stat().st_size)
    assert await store.read(["a"]) == {"a": Balance(1000, 0)}
    steps = 2001
    per_step = 4096  # at the least one page
    assert largest < steps * per_step / 2
    await store.close()


async def test_forgotten_windows_are_dropped_but_reservations_in_them_do_no_harm() -> None:
    store = SqliteCounters()
    await store.reserve("r", [ask(5, ("old", 9), forgotten=100.0)], expires=FAR)
    await store.expire(100.0)
    assert await store.read(["old"]) == {"old": Balance()}
    assert await store.settle("r", {"tokens": 5})
    assert await store.read(["old"]) == {"old": Balance()}
    await store.close()


async def test_a_redis_that_dies_is_down_not_free() -> None:
    with servers.redis() as address:
        store = await open_counters(address)
        await store.reserve("r", [ask(5, ("a", 9))], expires=FAR)
    with pytest.raises(CountersDown, match="Redis"):
        await store.reserve("s", [ask(5, ("a", 9))], expires=FAR)
    with pytest.raises(CountersDown):
        await open_counters(address)
    await store.close()


async def test_a_postgres_that_dies_is_down_not_free() -> None:
    with servers.postgres() as address:
        store = await open_counters(address)
        await store.reserve("r", [ask(5, ("a", 9))], expires=FAR)
    with pytest.raises(CountersDown, match="PostgreSQL"):
        await store.reserve("s", [ask(5, ("a", 9))], expires=FAR)
    with pytest.raises(CountersDown):
        await open_counters(address)
    with contextlib.suppress(CountersDown):
        await store.close()


@pytest.mark.parametrize("url", ["mongodb://localhost/x", "sqlite:x"])
async def test_an_unknown_scheme_is_bad_input(url: str) -> None:
    with pytest.raises(BadInput, match=url.partition(":")[0]):
        await open_counters(url)


async def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput):
        await open_counters(os.path.join(tmp_path, "file", "counters.sqlite"))
