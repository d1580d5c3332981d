"""The queue before the door: limits hold at every step, keys take turns, cancelling loses no place."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import ConfigError
from ponder.gateway.admission import AdmissionQueue, Overloaded
from ponder.gateway.settings import Admission, Key, Limits, Settings


class Visit:
    """A request that enters when it may and leaves when it is told."""

    def __init__(self, queue: AdmissionQueue, key: str, group: asyncio.TaskGroup) -> None:
        self.key, self.inside, self.refused = key, False, False
        self._done = asyncio.Event()
        self.task = group.create_task(self._run(queue))

    async def _run(self, queue: AdmissionQueue) -> None:
        try:
            async with queue.slot(self.key):
                self.inside = True
                await self._done.wait()
        except Overloaded:
            self.refused = True
        finally:
            self.inside = False

    def leave(self) -> None:
        self._done.set()


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def test_no_more_than_max_running_at_once_and_first_come_first_served() -> None:
    queue = AdmissionQueue(Admission(max_running=2))
    async with asyncio.TaskGroup() as group:
        visits = [Visit(queue, "a", group) for _ in range(5)]
        await settle()
        assert [visit.inside for visit in visits] == [True, True, False, False, False]
        assert (queue.running, queue.waiting) == (2, 3)
        for place in range(5):
            visits[place].leave()
            await settle()
            assert [visit.inside for visit in visits] == [place < i <= place + 2 for i in range(5)]
    assert (queue.running, queue.waiting, queue.running_of("a"), queue.waiting_of("a")) == (0, 0, 0, 0)


async def test_keys_take_turns_whatever_their_number_of_requests() -> None:
    queue = AdmissionQueue(Admission(max_running=1))
    async with asyncio.TaskGroup() as group:
        visits = [Visit(queue, key, group) for key in "aaaaabbc"]
        order = []
        await settle()
        while inside := [visit for visit in visits if visit.inside]:
            order.append(inside[0].key)
            inside[0].leave()
            await settle()
    assert "".join(order) == "aabcabaa"


async def test_a_key_at_its_own_limit_holds_up_nobody_else() -> None:
    queue = AdmissionQueue(Admission(max_running=4, max_running_per_key=2), {"vip": 3})
    async with asyncio.TaskGroup() as group:
        many = [Visit(queue, "a", group) for _ in range(4)]
        await settle()
        other = Visit(queue, "b", group)
        vip = [Visit(queue, "vip", group) for _ in range(3)]
        await settle()
        assert [visit.inside for visit in many] == [True, True, False, False]
        assert other.inside
        assert [visit.inside for visit in vip] == [True, False, False]
        other.leave()
        await settle()
        assert [visit.inside for visit in vip] == [True, True, False]
        for visit in [*many, *vip]:
            visit.leave()
    assert queue.running == queue.waiting == 0


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    now = 0.0
    queue = AdmissionQueue(Admission(max_running=1, max_waiting=2, max_waiting_per_key=1), clock=lambda: now)
    async with asyncio.TaskGroup() as group:
        inside = Visit(queue, "a", group)
        await settle()
        waiting = [Visit(queue, "a", group), Visit(queue, "b", group)]
        await settle()
        with pytest.raises(Overloaded, match="too many requests wait already; try again in 3 s") as caught:
            async with queue.slot("c"):
                pytest.fail("there was no place")
        assert caught.value.retry_after == 3.0
        assert caught.value.retryable
        waiting[1].task.cancel()
        await settle()
        with pytest.raises(Overloaded, match="of this key"):
            async with queue.slot("a"):
                pytest.fail("there was no place")
        assert queue.refused == 2
        for visit in [inside, *waiting]:
            visit.leave()


async def test_retry_after_follows_how_long_requests_take_and_stays_in_range() -> None:
    times = iter([0.0, 1000.0, 0.0])
    queue = AdmissionQueue(Admission(max_running=1, max_waiting=0), clock=lambda: next(times))
    async with queue.slot("a"):
        pass
    async with queue.slot("a"):
        with pytest.raises(Overloaded) as caught:
            async with queue.slot("a"):
                pytest.fail("there was no place")
        assert caught.value.retry_after == 51.0  # the running mean: 0.95 * 1 s + 0.05 * 1000 s
        times = iter([0.0])


async def test_an_error_inside_gives_the_place_back() -> None:
    queue = AdmissionQueue(Admission(max_running=1))
    with pytest.raises(ZeroDivisionError):
        async with queue.slot("a"):
            raise ZeroDivisionError
    assert queue.running == 0


async def test_a_request_cancelled_in_the_moment_it_is_called_passes_its_place_on() -> None:
    queue = AdmissionQueue(Admission(max_running=1))
    async with asyncio.TaskGroup() as group:
        first, second, third = (Visit(queue, "a", group) for _ in range(3))
        await settle()
        first.leave()
        for _ in range(10):  # until the place has been given to the second, which has not yet run
            if queue.waiting == 1:
                break
            await asyncio.sleep(0)
        assert queue.waiting == 1
        assert not second.inside
        second.task.cancel()
        await settle()
        assert third.inside
        assert (queue.running, queue.waiting) == (1, 0)
        third.leave()


async def test_reload_takes_new_limits_and_lets_in_who_fits_now() -> None:
    queue = AdmissionQueue.of(Settings(admission=Admission(max_running=1)))
    async with asyncio.TaskGroup() as group:
        visits = [Visit(queue, "a", group) for _ in range(4)]
        await settle()
        limited = Key(name="a", hash="x", limits=Limits(max_running=3))
        queue.reconfigure(Settings(admission=Admission(max_running=9), keys=(limited,)))
        await settle()
        assert [visit.inside for visit in visits] == [True, True, True, False]
        queue.reconfigure(Settings(admission=Admission(max_running=1)))
        visits[0].leave()
        await settle()
        assert [visit.inside for visit in visits] == [False, True, True, False]
        for visit in visits:
            visit.leave()


def test_at_least_one_may_run() -> None:
    with pytest.raises(ConfigError):
        AdmissionQueue(Admission(max_running=0))


@dataclass
class Twin:
    """The rule written plainly: one list of waiting requests, and the order of keys' turns."""

    rules: Admission
    running: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    turns: deque[str] = field(default_factory=deque)
    key: dict[int, str] = field(default_factory=dict)

    def place(self, key: str) -> bool:
        mine = sum(self.key[number] == key for number in self.running)
        own = self.rules.max_running_per_key
        return len(self.running) < self.rules.max_running and (own is None or mine < own)

    def arrive(self, number: int, key: str) -> bool:
        self.key[number] = key
        mine = [one for one in self.waiting if self.key[one] == key]
        if not mine and self.place(key):
            self.running.append(number)
            return True
        own = self.rules.max_waiting_per_key
        if len(self.waiting) >= self.rules.max_waiting or (own is not None and len(mine) >= own):
            return False
        self.waiting.append(number)
        if key not in self.turns:
            self.turns.append(key)
        return True

    def leave(self, number: int) -> None:
        if number in self.running:
            self.running.remove(number)
        elif number in self.waiting:
            self.waiting.remove(number)
            self._drop(self.key[number])
        while key := next((key for key in self.turns if self.place(key)), None):
            chosen = next(one for one in self.waiting if self.key[one] == key)
            self.waiting.remove(chosen)
            self.running.append(chosen)
            self.turns.remove(key)
            if any(self.key[one] == key for one in self.waiting):
                self.turns.append(key)

    def _drop(self, key: str) -> None:
        if key in self.turns and not any(self.key[one] == key for one in self.waiting):
            self.turns.remove(key)


@given(
    running=st.integers(1, 4),
    waiting=st.integers(0, 6),
    own=st.none() | st.integers(1, 3),
    own_waiting=st.none() | st.integers(0, 3),
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=60),
    seed=st.integers(0, 1000),
)
async def test_agrees_with_a_plain_twin(
    running: int, waiting: int, own: int | None, own_waiting: int | None, steps: list[tuple[str, int]], seed: int
) -> None:
    rules = Admission(
        max_running=running, max_waiting=waiting, max_running_per_key=own, max_waiting_per_key=own_waiting
    )
    queue, twin, rng = AdmissionQueue(rules), Twin(rules), random.Random(seed)
    async with asyncio.TaskGroup() as group:
        visits: dict[int, Visit] = {}
        for number, (key, action) in enumerate(steps):
            alive = twin.running + twin.waiting
            if action < 3 or not alive:
                visits[number] = Visit(queue, key, group)
                expected = twin.arrive(number, key)
                await settle()
                assert visits[number].refused is not expected
            else:
                chosen = rng.choice(alive)
                if action == 3 and chosen in twin.running:
                    visits[chosen].leave()
                else:
                    visits[chosen].task.cancel()
                twin.leave(chosen)
                await settle()
            assert [number for number, visit in visits.items() if visit.inside] == sorted(twin.running)
            assert (queue.running, queue.waiting) == (len(twin.running), len(twin.waiting))
            assert queue.running <= rules.max_running
            assert queue.waiting <= rules.max_waiting
        for visit in visits.values():
            visit.leave()
    assert (queue.running, queue.waiting) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
async def test_a_storm_of_cancellations_leaves_nothing_behind(seed: int) -> None:
    rng, most = random.Random(seed), 0
    queue = AdmissionQueue(Admission(max_running=3, max_waiting=40, max_running_per_key=2))

    async def request(key: str) -> None:
        nonlocal most
        with contextlib.suppress(Overloaded):
            async with queue.slot(key):
                most = max(most, queue.running)
                for _ in range(rng.randrange(4)):
                    await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(request(rng.choice("abcd"))) for _ in range(300)]
        while not all(task.done() for task in tasks):
            rng.choice(tasks).cancel()
            await asyncio.sleep(0)
    assert most == 3
    assert (queue.running, queue.waiting) == (0, 0)
    async with asyncio.timeout(1), queue.slot("a"):
        assert queue.running == 1
