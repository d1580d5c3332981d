from __future__ import annotations

import asyncio

from ponder.models._llama_slots import Slots


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_large_request_is_not_overtaken() -> None:
    slots, order = Slots(4), []

    async def use(name: str, count: int) -> None:
        await slots.take(count)
        order.append(name)
        await asyncio.sleep(0)
        slots.give(count)

    async with asyncio.TaskGroup() as group:
        for name, count in (("a", 3), ("b", 4), ("c", 1)):
            group.create_task(use(name, count))
    assert order == ["a", "b", "c"]


async def test_a_cancelled_waiter_lets_the_next_pass() -> None:
    slots = Slots(2)
    await slots.take(1)
    async with asyncio.TaskGroup() as group:
        large = group.create_task(slots.take(2))
        small = group.create_task(slots.take(1))
        await turns()
        assert not small.done()
        large.cancel()
        await turns()
        assert small.done()
    slots.give(2)
    await slots.take(2)


async def test_slots_granted_to_a_cancelled_waiter_come_back() -> None:
    slots = Slots(1)
    await slots.take(1)
    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(slots.take(1))
        await turns()
        slots.give(1)  # granted, and cancelled before it could wake
        waiter.cancel()
        await turns()
        assert waiter.cancelled()
    await slots.take(1)
