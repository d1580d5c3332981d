"""How fast an endpoint may be asked: slots, a pace by requests and tokens, and retries that sleep outside the slot.

Differs: the pace is a leaky bucket with debt, so that callers pass in the order in which they came, without a queue.
A Retry-After holds back every caller of the endpoint, not only the one that was told. One limiter serves all models
of one endpoint in one event loop, nested methods included, so nothing above this file takes a slot (S19).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ponder.core.errors import BadReply, ConfigError, EndpointDown, ProviderError, ProviderTimeout, RateLimited
from ponder.core.seeds import derive

__all__ = ["Limiter", "Limits", "Retry", "limiter_for", "renew_limits"]

logger = logging.getLogger(__name__)
T = TypeVar("T")
Sleep = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an endpoint allows, for all its models together.

    Attributes:
        connections: most requests in flight, >= 1.
        requests_per_minute: pace of requests, > 0, or None.
        tokens_per_minute: pace of prompt and completion tokens, > 0, or None.
    """

    connections: int = 64
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

    def __post_init__(self) -> None:
        if self.connections < 1:
            raise ConfigError(f"connections must be at least 1, got {self.connections!r}")
        for name in ("requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} must be greater than 0, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class Retry:
    """When a failed attempt is made again.

    Attributes:
        times: most further attempts after the first, >= 0; never more than 2 after a timeout or without a connection.
        first: seconds before the second attempt; doubles each time, and each wait is shortened by up to a half by lot.
        longest: most seconds to wait once; a server that asks for more is not waited for.
    """

    times: int = 6
    first: float = 0.5
    longest: float = 60.0

    def __post_init__(self) -> None:
        if self.times < 0 or not self.first >= 0 or not self.longest >= 0:
            raise ConfigError("retries, backoff and longest wait must be at least 0")

    def delay(self, err: ProviderError, attempt: int, rng: random.Random) -> float | None:
        """Return the seconds to wait after failed attempt number `attempt` (from 0), or None to give up."""
        times = self.times if err.retryable else 0
        if isinstance(err, EndpointDown | ProviderTimeout):
            # It may be restarting, or have lost this one call; but nobody waits for six more long timeouts.
            times = min(self.times, 2)
        if attempt >= times:
            return None
        wait = min(self.longest, self.first * 2.0 ** min(attempt, 30)) * rng.uniform(0.5, 1.0)
        if err.retry_after is None:
            return wait
        return None if err.retry_after > self.longest else max(wait, err.retry_after)


class _Bucket:
    """A pace of `rate` units a second; up to `burst` seconds of it may be used at once after a pause."""

    burst = 5.0

    def __init__(self, per_minute: float, now: float) -> None:
        self.rate = per_minute / 60
        self.room = max(1.0, self.rate * self.burst)
        self._level, self._at = self.room, now

    def take(self, amount: float, now: float) -> float:
        """Take `amount` and return the seconds to wait first. More than the bucket holds waits for a full one."""
        self._level = min(self.room, self._level + (now - self._at) * self.rate)
        self._at = now
        wait = max(0.0, min(amount, self.room) - self._level) / self.rate
        self._level -= amount
        return wait

    def give(self, amount: float) -> None:
        """Return what was taken too much."""
        self._level += amount


class Limiter:
    """The slots and the pace of one endpoint.

    Args:
        limits: what the endpoint allows.
        name: names the stream of jitter.
        clock: seconds that only go forward.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        name: str = "",
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.limits = limits
        self._clock, self._sleep = clock, sleep
        self._slots = asyncio.Semaphore(limits.connections)
        self._rng = derive(0, "backoff", name)
        self._held_until = float("-inf")
        now = clock()
        self._requests = None if limits.requests_per_minute is None else _Bucket(limits.requests_per_minute, now)
        self._tokens = None if limits.tokens_per_minute is None else _Bucket(limits.tokens_per_minute, now)

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        tokens: int = 0,
        spent: Callable[[T], int] | None = None,
        retry: Retry | None = None,
    ) -> T:
        """Return what `attempt` returns, at the endpoint's pace, again after failures that may pass.

        Args:
            attempt: one request; runs inside a slot.
            tokens: most tokens that it can take (prompt and completion).
            spent: how many it took, from its result; what was paced too much is given back.
            retry: when to try again.

        Raises:
            ProviderError: the failure of the last attempt.
        """
        retry = retry or Retry()
        tries = 0
        while True:
            if self._requests is not None or self._tokens is not None:
                await self._pace(tokens)
            try:
                result = await self._in_slot(attempt)
            except ProviderError as err:
                delay = retry.delay(err, tries, self._rng)
                if delay is None:
                    raise
                if err.retry_after is not None and isinstance(err, RateLimited | BadReply):
                    self._held_until = max(self._held_until, self._clock() + err.retry_after)
                tries += 1
                logger.info("attempt %d failed (%s); next in %.2f s", tries, type(err).__name__, delay)
                await self._sleep(delay)
            else:
                if spent is not None and self._tokens is not None:
                    self._tokens.give(tokens - spent(result))
                return result

    async def _in_slot(self, attempt: Callable[[], Awaitable[T]]) -> T:
        while True:
            async with self._slots:
                wait = self._held_until - self._clock()
                if wait <= 0:
                    return await attempt()
            # The endpoint asked everyone to wait: not with a slot in hand, and not all back in the same instant.
            await self._sleep(wait * self._rng.uniform(1.0, 1.1))

    async def _pace(self, tokens: int) -> None:
        taken = [(b, a) for b, a in ((self._requests, 1), (self._tokens, tokens)) if b is not None and a > 0]
        if not taken:
            return
        now = self._clock()
        wait = max(bucket.take(amount, now) for bucket, amount in taken)
        if wait <= 0:
            return
        try:
            await self._sleep(wait)
        except asyncio.CancelledError:
            for bucket, amount in taken:
                bucket.give(amount)
            raise


# One event loop, one set of limiters: asyncio's primitives belong to the loop they first wait in.
_limiters: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Limiter]] = weakref.WeakKeyDictionary()


def limiter_for(endpoint: str, limits: Limits) -> Limiter:
    """Return the limiter that all models of `endpoint` share in the running event loop.

    Raises:
        ConfigError: another model of the endpoint was set up with other limits.
    """
    loop = asyncio.get_running_loop()
    shared = _limiters.get(loop)
    if shared is None:
        shared = _limiters[loop] = {}
    limiter = shared.get(endpoint)
    if limiter is None:
        limiter = shared[endpoint] = Limiter(limits, name=endpoint)
    if limiter.limits is not limits and limiter.limits != limits:
        raise ConfigError(f"two models of {endpoint} were given other limits: {limiter.limits} and {limits}")
    return limiter


def renew_limits(endpoint: str, limits: Limits) -> None:
    """Let an endpoint have other limits in the running event loop; who holds its limiter goes on under the old ones."""
    shared = _limiters.get(asyncio.get_running_loop(), {})
    limiter = shared.get(endpoint)
    if limiter is not None and limiter.limits != limits:
        del shared[endpoint]
