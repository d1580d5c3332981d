"""Slots, pace and retries, on a clock of our own."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import (
    BadReply,
    ConfigError,
    EndpointDown,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    RequestRefused,
)
from ponder.models._limiter import Limiter, Limits, Retry, limiter_for


class Clock:
    """Time that passes only while somebody sleeps; sleepers wake in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.now + seconds
        await asyncio.sleep(0)
        self.now = max(self.now, until)


def limiter(clock: Clock, **limits: float) -> Limiter:
    return Limiter(Limits(**limits), clock=clock, sleep=clock.sleep)  # type: ignore[arg-type]  # one int among floats


def failing(*errors: ProviderError) -> tuple[list[int], object]:
    left, made = list(errors), [0]

    async def attempt() -> str:
        made[0] += 1
        if left:
            raise left.pop(0)
        return "answer"

    return made, attempt


@given(st.integers(0, 20), st.floats(0, 10), st.integers(0, 2**32))
def test_delay_stays_between_half_and_whole_of_its_step(attempt: int, first: float, seed: int) -> None:
    retry = Retry(times=100, first=first, longest=60)
    delay = retry.delay(BadReply("x"), attempt, random.Random(seed))
    step = min(60.0, first * 2**attempt)
    assert delay is not None
    assert step / 2 <= delay <= step


def test_delay_honours_retry_after_within_reason() -> None:
    retry, rng = Retry(first=0.1, longest=10), random.Random(0)
    assert retry.delay(RateLimited("x", retry_after=7.0), 0, rng) == 7.0
    assert retry.delay(RateLimited("x", retry_after=11.0), 0, rng) is None
    assert retry.delay(RequestRefused("x"), 0, rng) is None


@pytest.mark.parametrize("kind", [EndpointDown, ProviderTimeout])
def test_a_server_that_does_not_answer_is_asked_twice_more(kind: type[ProviderError]) -> None:
    retry, rng = Retry(times=6), random.Random(0)
    assert retry.delay(kind("x"), 1, rng) is not None
    assert retry.delay(kind("x"), 2, rng) is None
    assert Retry(times=0).delay(kind("x"), 0, rng) is None


async def test_retries_end_with_the_answer_or_the_last_error() -> None:
    clock = Clock()
    made, attempt = failing(BadReply("1"), RateLimited("2"))
    assert await limiter(clock).run(attempt) == "answer"  # type: ignore[arg-type]
    assert (made, len(clock.slept)) == ([3], 2)
    made, attempt = failing(*(BadReply(str(k)) for k in range(9)))
    with pytest.raises(BadReply, match="2"):
        await limiter(clock).run(attempt, retry=Retry(times=2))  # type: ignore[arg-type]
    assert made == [3]


async def test_back_off_sleeps_with_the_slot_given_back() -> None:
    entered = asyncio.Event()
    order: list[str] = []

    async def sleep(seconds: float) -> None:
        order.append("sleeps")
        await entered.wait()  # would hang if the sleeper held the only slot

    one = Limiter(Limits(connections=1), sleep=sleep)
    _, first = failing(BadReply("x"))

    async def second() -> str:
        order.append("second")
        entered.set()
        return "second"

    async with asyncio.timeout(2), asyncio.TaskGroup() as group:
        group.create_task(one.run(first))  # type: ignore[arg-type]
        group.create_task(one.run(second))
    assert order == ["sleeps", "second"]


async def test_retry_after_holds_back_everybody() -> None:
    clock = Clock()
    shared = limiter(clock)
    starts: list[float] = []
    _, refused = failing(RateLimited("x", retry_after=5.0))

    async def other() -> None:
        starts.append(clock())

    async with asyncio.TaskGroup() as group:
        group.create_task(shared.run(refused))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        group.create_task(shared.run(other))
    assert starts[0] >= 5.0


async def test_the_pace_of_requests_is_kept_in_order_of_arrival() -> None:
    clock = Clock()
    paced = limiter(clock, requests_per_minute=60)
    starts: list[tuple[int, float]] = []

    for index in range(20):

        async def attempt(index: int = index) -> None:
            starts.append((index, clock()))

        await paced.run(attempt)
    assert [index for index, _ in starts] == list(range(20))
    assert starts[4][1] == 0.0  # five at once after a pause
    assert starts[-1][1] == pytest.approx(15.0)


@pytest.mark.parametrize("real", [100, 1000])
async def test_tokens_paced_too_much_are_given_back(real: int) -> None:
    clock = Clock()
    paced = limiter(clock, tokens_per_minute=6000)

    async def attempt() -> int:
        return real

    for _ in range(10):
        await paced.run(attempt, tokens=1000, spent=lambda used: used)
    # 100 tokens a second and 500 at once: what is taken, beyond that, sets the time. The last call still reserves.
    assert clock() == pytest.approx(5.0 if real == 100 else 90.0, abs=5.0)


async def test_a_request_larger_than_the_bucket_passes() -> None:
    clock = Clock()
    paced = limiter(clock, tokens_per_minute=60)

    async def attempt() -> float:
        return clock()

    assert await paced.run(attempt, tokens=500) == 0.0
    assert await paced.run(attempt, tokens=1) == pytest.approx(496.0)


async def test_a_cancelled_wait_gives_its_place_back() -> None:
    paced = Limiter(Limits(requests_per_minute=1))

    async def attempt() -> None: ...

    await paced.run(attempt)
    bucket = paced._requests
    assert bucket is not None
    before = bucket._level
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await paced.run(attempt)
    assert bucket._level == pytest.approx(before, abs=0.01)


async def test_one_limiter_serves_one_endpoint_in_one_loop() -> None:
    limits = Limits(connections=2)
    first = limiter_for("http://a", limits)
    assert limiter_for("http://a", limits) is first
    assert limiter_for("http://b", limits) is not first
    with pytest.raises(ConfigError, match="other limits"):
        limiter_for("http://a", Limits(connections=3))

    async def elsewhere() -> Limiter:
        return limiter_for("http://a", limits)

    assert await asyncio.to_thread(lambda: asyncio.run(elsewhere())) is not first


@pytest.mark.parametrize(
    "wrong", [{"connections": 0}, {"requests_per_minute": 0.0}, {"tokens_per_minute": float("nan")}]
)
def test_limits_refuse_what_makes_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Limits(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"times": -1}, {"first": -0.1}, {"longest": float("nan")}])
def test_retry_refuses_what_makes_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="at least 0"):
        Retry(**wrong)  # type: ignore[arg-type]
