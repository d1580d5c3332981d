"""Slots that are taken several at a time, in the order of asking.

Differs: from a semaphore, which hands out one at a time: two requests that each hold a part of what they need would
wait for each other for ever.
"""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Slots"]


class Slots:
    """A number of slots; belongs to the event loop of its callers."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, count: int) -> None:
        """Wait for `count` slots and take them."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free += count  # granted in the same moment
            else:
                self._waiting.remove((count, turn))
            self._grant()
            raise

    def give(self, count: int) -> None:
        """Give `count` slots back."""
        self._free += count
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            count, turn = self._waiting.popleft()
            if turn.cancelled():
                self._waiting.appendleft((count, turn))  # its task removes it when it wakes
                return
            self._free -= count
            turn.set_result(None)
