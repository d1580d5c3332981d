"""Accounts: nothing passes a limit, everything unused comes back, and a crash never makes anything free."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core.budget import Budget
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.gateway.account import Account, Grant, Line, Refused, windows
from ponder.gateway.counters import Ask, Balance, CountersDown, Short
from ponder.gateway.counters_sqlite import SqliteCounters
from ponder.gateway.keys import ANYONE
from ponder.gateway.settings import Key, Limits, RequestRules, Settings

NOON = datetime.datetime(2026, 11, 26, 12, 0, 30, tzinfo=datetime.UTC).timestamp()


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    """An account in memory with one key, `alice`."""

    own: Limits = field(default_factory=Limits)
    everyone: Limits = field(default_factory=Limits)
    request: RequestRules = field(default_factory=RequestRules)
    file: Path | str = ":memory:"

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.alice = Key(name="alice", hash="a", limits=self.own)
        self.bob = Key(name="bob", hash="b")
        wanted = Settings(keys=(self.alice, self.bob), limits=self.everyone, request=self.request)
        self.account = Account(SqliteCounters(self.file), wanted, clock=self.clock)

    async def line(self, scope: str, unit: str, period: str = "day") -> Line:
        key = self.alice if scope == "key:alice" else self.bob
        lines = await self.account.report(key)
        return next(line for line in lines if (line.scope, line.unit, line.period) == (scope, unit, period))


def paid(tokens: int, usd: float | None = 0.0, role: str = "policy") -> dict[str, Usage]:
    return {role: Usage(calls=1, prompt_tokens=tokens // 2, completion_tokens=tokens - tokens // 2, usd=usd)}


async def test_the_wanted_budget_is_clipped_to_what_is_left_and_the_rest_comes_back() -> None:
    house = House(own=Limits(tokens_per_day=1000))
    first = await house.account.open(house.alice, Budget(tokens=700, calls=4))
    assert first.budget == Budget(tokens=700, calls=4, seconds=600.0)
    second = await house.account.open(house.alice, Budget(tokens=700, completion_tokens=500))
    assert second.budget == Budget(tokens=300, completion_tokens=300, seconds=600.0)
    await first.settle(paid(150))
    assert (await house.line("key:alice", "tokens")).left == 1000 - 150 - 300
    await second.settle(paid(10))
    assert (await house.line("key:alice", "tokens"))[3:6] == (160, 0, 1000)
    assert (await house.line("everyone", "tokens"))[3:6] == (160, 0, None)
    await house.account.close()


async def test_money_is_clipped_to_billionths_and_refused_with_402() -> None:
    house = House(everyone=Limits(usd_per_month=0.01, tokens_per_day=10**6))
    grant = await house.account.open(house.alice, Budget(usd=0.02, tokens=100))
    assert grant.budget.usd == 0.01
    await grant.settle({"policy": Usage(calls=3, usd=0.006), "judge": Usage(calls=1, usd=0.0039)})
    last = await house.account.open(house.bob, Budget(usd=1.0, tokens=100))
    assert last.budget.usd == pytest.approx(0.0001, abs=1e-12)
    with pytest.raises(Refused) as caught:
        await house.account.open(house.bob, Budget(usd=1.0, tokens=100))
    assert caught.value.status == 402
    assert caught.value.left == {"usd_per_month": 0.0}
    assert caught.value.retry_after == 1.0  # the request in progress may give something back
    await last.settle(paid(5, usd=0.0001))
    with pytest.raises(Refused, match=r"0 of 0\.01 USD are left for all keys together this month") as caught:
        await house.account.open(house.bob, Budget(usd=1.0, tokens=100))
    december = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC).timestamp()
    assert caught.value.retry_after == december - NOON


async def test_tokens_are_refused_with_429_until_midnight_utc() -> None:
    house = House(own=Limits(tokens_per_day=100))
    await (await house.account.open(house.alice, Budget(tokens=100))).settle(paid(95))
    with pytest.raises(Refused, match=r"5 of 100 tokens are left for this key this day \(UTC\)") as caught:
        await house.account.open(house.alice, Budget(tokens=100), least=Budget(tokens=6))
    assert (caught.value.status, caught.value.left) == (429, {"tokens_per_day": 5.0})
    assert caught.value.retry_after == 12 * 3600 - 30
    assert (await house.account.open(house.alice, Budget(tokens=100), least=Budget(tokens=5))).budget.tokens == 5
    await house.account.open(house.bob, Budget(tokens=100))  # another key is not concerned
    house.clock.now += 12 * 3600 - 30
    assert (await house.account.open(house.alice, Budget(tokens=100))).budget.tokens == 100


async def test_a_request_that_no_reservation_stands_in_the_way_of_waits_for_the_window() -> None:
    house = House(own=Limits(tokens_per_day=100))
    await (await house.account.open(house.alice, Budget(tokens=60))).settle(paid(60))
    held = await house.account.open(house.alice, Budget(tokens=30))
    with pytest.raises(Refused, match="30 are held by requests in progress") as caught:
        await house.account.open(house.alice, Budget(tokens=40), least=Budget(tokens=40))
    assert caught.value.retry_after == 1.0
    with pytest.raises(Refused) as caught:
        await house.account.open(house.alice, Budget(tokens=50), least=Budget(tokens=41))
    assert caught.value.retry_after > 1.0  # 40 at most can come back
    await held.settle({})


async def test_requests_per_minute() -> None:
    house = House(own=Limits(requests_per_minute=3))
    for _ in range(3):
        await (await house.account.open(house.alice, Budget())).settle(paid(1))
    with pytest.raises(Refused, match="requests") as caught:
        await house.account.open(house.alice, Budget())
    assert (caught.value.status, caught.value.retry_after) == (429, 30.0)
    house.clock.now += 30
    await house.account.open(house.alice, Budget())


async def test_a_unit_that_nobody_limits_is_counted_and_not_clipped() -> None:
    house = House()
    grant = await house.account.open(None, Budget(calls=2))
    assert grant.key == ANYONE.name
    assert grant.budget == Budget(calls=2, seconds=600.0)
    await grant.settle(paid(123, usd=0.25))
    lines = {(line.unit, line.period): line.spent for line in await house.account.report()}
    assert lines == {
        ("tokens", "day"): 123,
        ("tokens", "month"): 123,
        ("nanousd", "day"): 0.25,
        ("nanousd", "month"): 0.25,
    }


async def test_an_open_unit_takes_the_default_then_a_share_of_the_window() -> None:
    limits = Limits(tokens_per_day=1000, tokens_per_month=5000, usd_per_day=2.0)
    house = House(own=limits, request=RequestRules(budget=Budget(tokens=40, calls=3, seconds=9.0), window_share=0.25))
    grant = await house.account.open(house.alice, Budget(calls=8))
    assert grant.budget == Budget(calls=8, tokens=40, seconds=9.0, usd=0.5)
    house = House(own=limits)
    assert (await house.account.open(house.alice, Budget())).budget.tokens == 100
    grant = await house.account.open(house.alice, Budget(prompt_tokens=30, completion_tokens=20))
    assert grant.budget.tokens == 50


async def test_a_default_that_contradicts_the_request_gives_way() -> None:
    house = House(request=RequestRules(budget=Budget(tokens=100, completion_tokens=80)))
    assert (await house.account.open(house.alice, Budget(tokens=50))).budget.completion_tokens == 50
    assert (await house.account.open(house.alice, Budget(completion_tokens=300))).budget.tokens == 300


async def test_seconds_are_capped_and_the_lease_follows_them() -> None:
    house = House(own=Limits(tokens_per_day=100), request=RequestRules(max_seconds=20.0))
    assert (await house.account.open(house.alice, Budget(tokens=10, seconds=50.0))).budget.seconds == 20.0
    house.clock.now += 79
    await house.account.open(house.bob, Budget())
    assert (await house.line("key:alice", "tokens")).reserved == 10
    house.clock.now += 16
    await house.account.open(house.bob, Budget())
    assert (await house.line("key:alice", "tokens"))[3:5] == (10, 0)


async def test_a_request_over_midnight_counts_where_it_began() -> None:
    house = House(own=Limits(tokens_per_day=100))
    grant = await house.account.open(house.alice, Budget(tokens=80))
    house.clock.now += 86400
    assert (await house.account.open(house.alice, Budget(tokens=100))).budget.tokens == 100
    await grant.settle(paid(80))
    assert (await house.line("key:alice", "tokens"))[3:5] == (0, 100)
    house.clock.now -= 86400
    assert (await house.line("key:alice", "tokens"))[3:5] == (80, 0)


async def test_an_unknown_price_costs_the_whole_reservation_and_an_overrun_what_was_billed() -> None:
    house = House(own=Limits(usd_per_day=1.0))
    await (await house.account.open(house.alice, Budget(usd=0.3))).settle(paid(5, usd=None))
    assert (await house.line("key:alice", "nanousd")).spent == 0.3
    await (await house.account.open(house.alice, Budget(usd=0.3))).settle(paid(5, usd=0.4))
    assert (await house.line("key:alice", "nanousd")).spent == pytest.approx(0.7)
    unlimited = House()
    await (await unlimited.account.open(unlimited.alice, Budget(usd=0.3))).settle(paid(5, usd=None))
    assert (await unlimited.line("key:alice", "nanousd")).spent == 0


async def test_settling_twice_counts_once() -> None:
    house = House()
    grant = await house.account.open(house.alice, Budget(tokens=50))
    await gather_all([partial(grant.settle, paid(20)), partial(grant.settle, paid(30))])
    await grant.settle(paid(40))
    assert (await house.line("key:alice", "tokens"))[3:5] == (20, 0)


async def test_a_crash_between_open_and_settle_counts_in_full_once_the_lease_has_ended(tmp_path: Path) -> None:
    first = House(own=Limits(tokens_per_day=100), file=tmp_path / "c.sqlite")
    await first.account.open(first.alice, Budget(tokens=70))
    # The process dies here: nothing is closed or settled. Another one opens the same file.
    second = House(own=Limits(tokens_per_day=100), file=tmp_path / "c.sqlite")
    assert (await second.line("key:alice", "tokens"))[3:5] == (0, 70)
    with pytest.raises(Refused) as caught:
        await second.account.open(second.alice, Budget(tokens=100), least=Budget(tokens=40))
    assert caught.value.retry_after == 1.0
    second.clock.now += 661
    with pytest.raises(Refused) as caught:
        await second.account.open(second.alice, Budget(tokens=100), least=Budget(tokens=40))
    assert caught.value.retry_after > 1.0  # now it is spent, and only the next day brings it back
    assert (await second.line("key:alice", "tokens"))[3:5] == (70, 0)
    await first.account.close()
    await second.account.close()


class Flaky:
    """A store that can be down, and that can be slow to answer."""

    def __init__(self) -> None:
        self.store, self.down, self.slow = SqliteCounters(), False, 0.0

    async def _gate(self) -> None:
        if self.down:
            raise CountersDown("down")

    async def reserve(self, reservation: str, asks: Sequence[Ask], *, expires: float) -> dict[str, int] | Short:
        await self._gate()
        outcome = await self.store.reserve(reservation, asks, expires=expires)
        await asyncio.sleep(self.slow)
        return outcome

    async def settle(self, reservation: str, used: Any) -> bool:
        await asyncio.sleep(self.slow)
        await self._gate()
        return await self.store.settle(reservation, used)

    async def expire(self, now: float) -> int:
        await self._gate()
        return await self.store.expire(now)

    async def read(self, counters: Sequence[str]) -> dict[str, Balance]:
        return await self.store.read(counters)

    async def close(self) -> None:
        await self.store.close()


def flaky() -> tuple[House, Flaky]:
    house, store = House(own=Limits(tokens_per_day=100)), Flaky()
    house.account = Account(store, house.account.settings, clock=house.clock)
    return house, store


async def test_a_store_that_is_down_admits_nobody_and_loses_no_settlement() -> None:
    house, store = flaky()
    grant = await house.account.open(house.alice, Budget(tokens=50))
    store.down = True
    await grant.settle(paid(20))
    with pytest.raises(CountersDown):
        await house.account.open(house.alice, Budget(tokens=1))
    assert (await house.line("key:alice", "tokens"))[3:5] == (0, 50)
    store.down = False
    house.clock.now += 16
    await house.account.open(house.bob, Budget())
    assert (await house.line("key:alice", "tokens"))[3:5] == (20, 0)


@pytest.mark.parametrize("cut", ["settle", "open"])
async def test_a_cancelled_request_gives_back_what_it_did_not_use(cut: str) -> None:
    house, store = flaky()
    grant = await house.account.open(house.alice, Budget(tokens=50)) if cut == "settle" else None
    store.slow = 30.0

    async def work() -> None:
        if grant is None:
            await house.account.open(house.alice, Budget(tokens=50))
        else:
            await grant.settle(paid(20))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work())
        await asyncio.sleep(0.05)
        task.cancel()
    store.slow = 0.0
    house.clock.now += 16
    await house.account.open(house.bob, Budget())
    assert (await house.line("key:alice", "tokens"))[3:5] == (20 if cut == "settle" else 0, 0)
    await house.account.close()


async def test_closing_settles_what_waits(tmp_path: Path) -> None:
    house, store = flaky()
    store.store = SqliteCounters(tmp_path / "c.sqlite")
    grant = await house.account.open(house.alice, Budget(tokens=50))
    store.down = True
    await grant.settle(paid(20))
    store.down = False
    await house.account.close()
    again = House(own=Limits(tokens_per_day=100), file=tmp_path / "c.sqlite")
    assert (await again.line("key:alice", "tokens"))[3:5] == (20, 0)
    await again.account.close()


@settings(max_examples=60)
@given(
    own=st.none() | st.integers(1, 200),
    everyone=st.none() | st.integers(1, 300),
    usd=st.none() | st.integers(1, 50),
    requests=st.lists(
        st.tuples(st.booleans(), st.integers(1, 90), st.integers(1, 90), st.floats(0, 1), st.integers(0, 3)),
        max_size=25,
    ),
)
async def test_concurrent_requests_never_pass_a_limit_and_spent_is_the_sum_of_usages(
    own: int | None, everyone: int | None, usd: int | None, requests: list[tuple[bool, int, int, float, int]]
) -> None:
    cents = None if usd is None else usd / 100
    house = House(own=Limits(tokens_per_day=own, usd_per_month=cents), everyone=Limits(tokens_per_month=everyone))
    used: dict[str, list[tuple[int, float]]] = {"alice": [], "bob": []}

    async def request(alice: bool, wanted: int, least: int, part: float, pauses: int) -> None:
        key = house.alice if alice else house.bob
        try:
            asked = Budget(tokens=wanted, usd=0.05)
            grant = await house.account.open(key, asked, least=Budget(tokens=min(least, wanted)))
        except Refused:
            return
        await within()
        for _ in range(pauses):
            await asyncio.sleep(0)
        tokens = int((grant.budget.tokens or 0) * part)
        usd = round((grant.budget.usd or 0.0) * part, 9)
        used[key.name].append((tokens, usd))
        await grant.settle(paid(tokens, usd=usd))
        await within()

    async def within() -> None:
        for line in [*await house.account.report(house.alice), *await house.account.report(house.bob)]:
            assert line.limit is None or line.spent + line.reserved <= line.limit
            assert line.reserved >= 0

    await gather_all([partial(request, *one) for one in requests])
    for name, key in (("alice", house.alice), ("bob", house.bob)):
        for line in await house.account.report(key):
            mine = used[name] if line.scope == f"key:{name}" else used["alice"] + used["bob"]
            assert line.reserved == 0
            if line.unit == "tokens":
                assert line.spent == sum(tokens for tokens, _ in mine)
            else:
                assert round(line.spent * 10**9) == sum(round(usd * 10**9) for _, usd in mine)
    await house.account.close()


@given(st.floats(0, 4e9))
def test_windows_hold_their_moment(now: float) -> None:
    limits = Limits(tokens_per_day=1, tokens_per_month=1, requests_per_minute=1)
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    lengths = {"minute": 60, "day": 86400, "month": 31 * 86400}
    for place in windows(Key(name="a", hash=""), limits, now):
        assert 0 < place.window.ends - now <= lengths[place.period]
        end = datetime.datetime.fromtimestamp(place.window.ends, datetime.UTC)
        assert (end.second, end.microsecond) == (0, 0)
        if place.period != "minute":
            assert (end.hour, end.minute) == (0, 0)
        if place.period == "month":
            assert end.day == 1
            assert (end - datetime.timedelta(seconds=1)).month == moment.month


def test_a_grant_shows_no_account() -> None:
    house = House()
    grant = Grant(id="x", key="alice", budget=Budget(), reserved={}, limited=frozenset(), _account=house.account)
    assert "Account" not in repr(grant)
    asyncio.run(house.account.close())


async def test_a_reload_changes_limits_for_the_next_request() -> None:
    house = House()
    await house.account.open(house.alice, Budget(tokens=500))
    house.account.settings = Settings(limits=Limits(tokens_per_day=600))
    assert (await house.account.open(house.alice, Budget(tokens=500))).budget.tokens == 100
