"""Who may come in: at most so many requests at once, in all and for each key, and a short fair queue before the door.

Keys that wait take turns: a free place goes to the next key in the round that has a request waiting and a place of its
own left, and to the request of that key that has waited longest. So a key with a thousand requests delays another's
first one by one turn. What does not fit the queue is refused at once, before it holds memory.

Source: our own (round robin as in Nagle 1987, RFC 970, over keys in place of hosts). Used from one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Mapping

from ponder.core.errors import PonderError
from ponder.gateway.settings import Admission, Settings

__all__ = ["AdmissionQueue", "Overloaded"]

_WEIGHT = 0.05  # of the last request in the running mean of how long requests take
_LONGEST = 60.0  # seconds; more is not promised to anyone


class Overloaded(PonderError):
    """The queue is full; nothing was started.

    Attributes:
        retry_after: seconds after which a place is likely, from how long requests have been taking.
    """

    retryable = True

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AdmissionQueue:
    """Places for requests.

    Args:
        rules: limits for all.
        per_key: most in progress for a key, where it differs from `rules.max_running_per_key`.
        clock: seconds that only go forward.

    Attributes:
        running, waiting: requests in progress and before the door.
        refused: how many were turned away.
    """

    def __init__(
        self,
        rules: Admission,
        per_key: Mapping[str, int] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules, self._per_key, self._clock = rules, dict(per_key or {}), clock
        self.running = self.waiting = self.refused = 0
        self._running: dict[str, int] = {}
        # Keys with waiting requests, the one whose turn is next in front.
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._seconds = 1.0  # how long a request takes, as far as known

    @classmethod
    def of(cls, settings: Settings) -> AdmissionQueue:
        """Return the queue that the settings describe."""
        return cls(settings.admission, _own_limits(settings))

    def reconfigure(self, settings: Settings) -> None:
        """Take new limits; requests in progress and in the queue stay."""
        self._rules, self._per_key = settings.admission, _own_limits(settings)
        self._call_next()

    @contextlib.asynccontextmanager
    async def slot(self, key: str) -> AsyncIterator[None]:
        """Hold a place for a request of this key, waiting for it where there is none.

        Raises:
            Overloaded: too many wait already.
        """
        await self._enter(key)
        began = self._clock()
        try:
            yield
        finally:
            self._seconds += _WEIGHT * (self._clock() - began - self._seconds)
            self._leave(key)

    def waiting_of(self, key: str) -> int:
        """Return how many requests of a key wait."""
        return len(self._queues.get(key, ()))

    def running_of(self, key: str) -> int:
        """Return how many requests of a key are in progress."""
        return self._running.get(key, 0)

    async def _enter(self, key: str) -> None:
        # Whoever waits could not be let in when they last looked, so a place that is free now is not theirs.
        if self._has_place(key) and not self.waiting_of(key):
            self._take(key)
            return
        own = self._rules.max_waiting_per_key
        if self.waiting >= self._rules.max_waiting or (own is not None and self.waiting_of(key) >= own):
            self.refused += 1
            full = "requests wait" if self.waiting >= self._rules.max_waiting else "requests of this key wait"
            seconds = self._retry_after()
            raise Overloaded(f"too many {full} already; try again in {seconds:g} s", retry_after=seconds)
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(key, deque()).append(called)
        self.waiting += 1
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self._leave(key)  # it was called in the same moment: the place goes to the next one
            else:
                self._forget(key, called)
            raise

    def _has_place(self, key: str) -> bool:
        own = self._per_key.get(key, self._rules.max_running_per_key)
        return self.running < self._rules.max_running and (own is None or self.running_of(key) < own)

    def _take(self, key: str) -> None:
        self.running += 1
        self._running[key] = self.running_of(key) + 1

    def _leave(self, key: str) -> None:
        self.running -= 1
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]
        self._call_next()

    def _call_next(self) -> None:
        """Give free places to those who wait, key by key."""
        while (key := next((key for key in self._queues if self._has_place(key)), None)) is not None:
            called = self._queues[key].popleft()
            self.waiting -= 1
            if self._queues[key]:
                self._queues.move_to_end(key)
            else:
                del self._queues[key]
            if not called.done():  # a request that was cancelled in this moment leaves by itself
                self._take(key)
                called.set_result(None)

    def _forget(self, key: str, called: asyncio.Future[None]) -> None:
        queue = self._queues.get(key)
        if queue is not None and called in queue:
            queue.remove(called)
            self.waiting -= 1
            if not queue:
                del self._queues[key]

    def _retry_after(self) -> float:
        rounds = (self.waiting + 1) / self._rules.max_running
        return float(min(_LONGEST, max(1, math.ceil(rounds * self._seconds))))


def _own_limits(settings: Settings) -> dict[str, int]:
    return {key.name: key.limits.max_running for key in settings.keys if key.limits.max_running is not None}
