"""What each key may spend: windows of tokens, money and requests, reserved before a request and settled after it.

A request takes, in every window that concerns it (its key's and everyone's; minute, day and month), what it wants or
what the tightest window has left. The clipped amount is a hard limit of the run (`Grant.budget`), so concurrent
requests together cannot pass a limit; what was not used goes back when the request settles. It is counted in the
windows in which it began, also when it ends in the next one. Only a bill above its reservation (an upstream that
ignores `max_tokens`) can pass a limit, and it is booked as billed. Where a price is not known but money was reserved,
the whole reservation counts.

A grant that is never settled (the process died) counts as spent in full when its lease ends; see `counters.py`.

Source: our own (DESIGN, principle 1). Windows are calendar minutes, days and months in UTC.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from ponder.core.budget import Budget
from ponder.core.errors import PonderError
from ponder.core.usage import Usage
from ponder.gateway.counters import Ask, Balance, Counters, CountersDown, Short, Window
from ponder.gateway.ids import fresh_id
from ponder.gateway.keys import ANYONE
from ponder.gateway.settings import Key, Limits, Settings

__all__ = ["Account", "Grant", "Line", "Refused", "windows"]

logger = logging.getLogger(__name__)
NANO = 1_000_000_000  # money is counted in billionths of a dollar
_DAY = 86400.0
_KEPT = 40 * _DAY  # seconds for which a closed day or month can still be read
_MARGIN = 60.0  # seconds between a request's deadline and the end of its lease
_SWEEP = 15.0  # seconds between two looks for ended leases
_WAITING = 10_000  # settlements that wait for a store that is down
_SOON = 1.0  # seconds after which requests in progress may have given something back

Unit = Literal["tokens", "nanousd", "requests"]
Period = Literal["minute", "day", "month"]
_LIMITS: tuple[tuple[Unit, Period, str], ...] = (
    ("requests", "minute", "requests_per_minute"),
    ("tokens", "day", "tokens_per_day"),
    ("tokens", "month", "tokens_per_month"),
    ("nanousd", "day", "usd_per_day"),
    ("nanousd", "month", "usd_per_month"),
)
_SPELLED = {"tokens": "tokens", "nanousd": "USD", "requests": "requests"}


class Refused(PonderError):
    """A request that the account does not admit; nothing was spent.

    Attributes:
        status: 402 where money is short, 429 where tokens or requests are.
        left: by limit, in its unit ("usd_per_day": 0.002), what is left of those that are short.
        retry_after: seconds until it may be admitted.
    """

    def __init__(self, message: str, *, status: int, left: Mapping[str, float], retry_after: float) -> None:
        super().__init__(message)
        self.status, self.left, self.retry_after = status, dict(left), retry_after


class Line(NamedTuple):
    """One limit or count as a person reads it: tokens, requests, or USD."""

    scope: str
    unit: str
    period: str
    spent: float
    reserved: float
    limit: float | None
    ends: float

    @property
    def left(self) -> float | None:
        """What is left, >= 0; None without a limit."""
        return None if self.limit is None else max(0.0, self.limit - self.spent - self.reserved)


class _Place(NamedTuple):
    """A window with what it stands for."""

    scope: str
    unit: Unit
    period: Period
    name: str
    window: Window


@dataclass(eq=False, kw_only=True)
class Grant:
    """What one request may spend.

    Attributes:
        id: of the reservation.
        key: name of the key.
        budget: what was asked for, clipped to what was left: give it to the run.
        reserved: amount by unit ("tokens", "nanousd", "requests").
        limited: units for which some window has a limit.
    """

    id: str
    key: str
    budget: Budget
    reserved: Mapping[str, int]
    limited: frozenset[str]
    _account: Account = field(repr=False)

    async def settle(self, paid: Mapping[str, Usage]) -> None:
        """Count what was paid, by role, and give the rest back.

        Only the first call counts. It may be cancelled: the settlement is then made with the next request, or when the
        account closes. A store that is down does not raise: the settlement waits for it in the same way.
        """
        await self._account.settle(self, paid)


class Account:
    """Reserves and settles in a store of counters.

    Args:
        counters: the store (see `open_counters`); `close` closes it.
        settings: limits; replace the attribute `settings` on a reload. Requests in progress keep their grants.
        clock: seconds since 1970.
    """

    def __init__(self, counters: Counters, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self.counters, self.settings, self.clock = counters, settings, clock
        self._unsettled: dict[str, dict[str, int]] = {}
        self._swept = -math.inf

    async def open(self, key: Key | None, wanted: Budget, *, least: Budget | None = None) -> Grant:
        """Reserve for one request.

        Args:
            key: whose request; None is `ANYONE`.
            wanted: most that it will spend. A unit that it leaves open is filled from `settings.request.budget`; if
                that is open too and a window limits the unit, it is filled with a share of the smallest such window.
            least: tokens (or prompt_tokens and completion_tokens) and usd below which it cannot do anything.

        Raises:
            Refused: a window has less left than that.
            CountersDown: the store does not answer.
        """
        now = self.clock()
        await self._sweep(now)
        key = key or ANYONE
        places = windows(key, self.settings.limits, now)
        wanted = _filled(wanted, self.settings.request.budget)
        asks = tuple(_asks(places, wanted, least or Budget(), self.settings.request.window_share))
        seconds = min(wanted.seconds or math.inf, self.settings.request.max_seconds)
        reservation = fresh_id(128)
        try:
            outcome = await self.counters.reserve(reservation, asks, expires=now + seconds + _MARGIN)
        except BaseException:  # cancelled or cut off: nobody knows whether it was made, so it is given back
            self._unsettled[reservation] = {}
            raise
        if isinstance(outcome, Short):
            raise _refusal(outcome, {ask.unit: ask.least for ask in asks}, places, now)
        limited = frozenset(place.unit for place in places if place.window.limit is not None)
        budget = _clipped(replace(wanted, seconds=seconds), outcome, limited)
        return Grant(id=reservation, key=key.name, budget=budget, reserved=outcome, limited=limited, _account=self)

    async def settle(self, grant: Grant, paid: Mapping[str, Usage]) -> None:
        """See `Grant.settle`."""
        tokens = sum(usage.tokens for usage in paid.values())
        nanousd = sum(round((usage.usd or 0.0) * NANO) for usage in paid.values())
        if "nanousd" in grant.limited and any(usage.usd is None and usage.calls for usage in paid.values()):
            nanousd = max(nanousd, grant.reserved["nanousd"])
        self._unsettled.setdefault(grant.id, {"tokens": tokens, "nanousd": nanousd, "requests": 1})
        try:
            await self._flush(grant.id)
        except CountersDown as err:
            logger.warning("a settlement waits: %s", err)
            if len(self._unsettled) > _WAITING:  # beyond it, reservations count in full when their leases end
                self._unsettled.pop(grant.id, None)

    async def report(self, key: Key | None = None) -> list[Line]:
        """Return what is spent, reserved and left in the windows of `key` (of everyone for None)."""
        places = windows(key or ANYONE, self.settings.limits, self.clock())
        if key is None:
            places = tuple(place for place in places if place.scope == "everyone")
        found = await self.counters.read([place.window.counter for place in places])
        return [_line(place, found[place.window.counter]) for place in places]

    async def close(self) -> None:
        """Make the settlements that wait, then close the store."""
        try:
            for reservation in list(self._unsettled):
                await self._flush(reservation)
        except CountersDown as err:
            logger.warning("%d settlements are lost and will count in full: %s", len(self._unsettled), err)
        finally:
            await self.counters.close()

    async def _flush(self, reservation: str) -> None:
        """Make one settlement; it stays noted until the store has confirmed it (making it twice changes nothing)."""
        used = self._unsettled.get(reservation)
        if used is not None:
            await self.counters.settle(reservation, used)
            self._unsettled.pop(reservation, None)

    async def _sweep(self, now: float) -> None:
        """Now and then: settle what waits and end leases."""
        if now - self._swept < _SWEEP:
            return
        self._swept = now
        try:
            for reservation in list(self._unsettled):
                await self._flush(reservation)
            await self.counters.expire(now)
        except asyncio.CancelledError:
            self._swept = -math.inf
            raise


def windows(key: Key, everyone: Limits, now: float) -> tuple[_Place, ...]:
    """Return the windows, at `now`, that a request of `key` is counted in: the key's own first, then everyone's."""
    return _windows(key, everyone, math.floor(now / 60) * 60)


@functools.lru_cache(maxsize=1024)
def _windows(key: Key, everyone: Limits, minute: int) -> tuple[_Place, ...]:
    """Return the windows of a minute that begins so many seconds after 1970: dates are worked out once in it."""
    moment = datetime.datetime.fromtimestamp(minute, datetime.UTC)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    next_month = (midnight.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
    spans: dict[Period, tuple[str, float, float]] = {
        "minute": (moment.strftime("%Y-%m-%dT%H:%M"), minute + 60.0, 0.0),
        "day": (moment.strftime("%Y-%m-%d"), (midnight + datetime.timedelta(days=1)).timestamp(), _KEPT),
        "month": (moment.strftime("%Y-%m"), next_month.timestamp(), _KEPT),
    }
    places = []
    for scope, limits in ((f"key:{key.name}", key.limits), ("everyone", everyone)):
        for unit, period, name in _LIMITS:
            limit = getattr(limits, name)
            if limit is None and unit == "requests":
                continue  # a rate without a limit says nothing
            label, ends, kept = spans[period]
            whole = None if limit is None else math.floor(limit * NANO + 0.5) if unit == "nanousd" else int(limit)
            counter = Window(counter=f"{scope}|{unit}|{label}", limit=whole, ends=ends, forgotten=ends + kept + 3600.0)
            places.append(_Place(scope, unit, period, name, counter))
    return tuple(places)


def _filled(wanted: Budget, default: Budget) -> Budget:
    """Return `wanted` with the default in the units it leaves open (a default that contradicts it gives way)."""
    given = {name: value for name, value in vars(wanted).items() if value is not None}
    rest = {name: value for name, value in vars(default).items() if value is not None and name not in given}
    tokens = given.get("tokens", rest.get("tokens"))
    for part in ("prompt_tokens", "completion_tokens"):
        if tokens is not None and part in rest:
            rest[part] = min(rest[part], tokens)
        if "tokens" in rest and part in given:
            rest["tokens"] = max(rest["tokens"], given[part])
    return Budget(**(rest | given))


def _tokens(budget: Budget) -> int | None:
    """Return the most tokens that a budget can spend, or None."""
    parts = [budget.prompt_tokens, budget.completion_tokens]
    known = [part for part in parts if part is not None]
    both = sum(known) if len(known) == 2 else None
    return min((bound for bound in (budget.tokens, both) if bound is not None), default=None)


def _asks(places: tuple[_Place, ...], wanted: Budget, least: Budget, share: float) -> Iterator[Ask]:
    money = None if wanted.usd is None else math.floor(wanted.usd * NANO + 0.5)
    bounds: dict[str, int | None] = {"tokens": _tokens(wanted), "nanousd": money, "requests": 1}
    fewest = (least.prompt_tokens or 0) + (least.completion_tokens or 0)
    needs = {
        "tokens": max(least.tokens or 0, fewest, 1),
        "nanousd": max(math.ceil((least.usd or 0.0) * NANO), 1),
        "requests": 1,
    }
    for unit, bound in bounds.items():
        mine = tuple(place.window for place in places if place.unit == unit)
        limits = [window.limit for window in mine if window.limit is not None]
        if not limits and bound is None:
            amount, need = 0, 0  # counted when it settles, not held
        else:
            need = needs[unit] if limits else 0
            amount = bound if bound is not None else max(math.floor(min(limits) * share), need)
            need = min(need, amount)
        if mine:
            yield Ask(unit=unit, wanted=amount, least=need, windows=mine)


def _clipped(wanted: Budget, granted: Mapping[str, int], limited: frozenset[str]) -> Budget:
    """Return the budget that spends no more than was granted in limited units."""
    values = dict(vars(wanted))
    if "tokens" in limited:
        values["tokens"] = min(granted["tokens"], wanted.tokens or granted["tokens"])
        for part in ("prompt_tokens", "completion_tokens"):
            if values[part] is not None:
                values[part] = min(values[part], values["tokens"])
    if "nanousd" in limited:
        usd = granted["nanousd"] / NANO
        values["usd"] = usd if wanted.usd is None else min(usd, wanted.usd)
    return Budget(**values)


def _refusal(short: Short, least: Mapping[str, int], places: tuple[_Place, ...], now: float) -> Refused:
    """Say in one line what is short, what is left of it, and when to come back."""
    by_counter = {place.window.counter: place for place in places}
    lines: list[Line] = []
    left: dict[str, float] = {}
    ready = now
    for unit, window, balance in short.windows:
        place = by_counter[window.counter]
        line = _line(place, balance)
        lines.append(line)
        left[place.name] = min(line.left or 0.0, left.get(place.name, math.inf))
        # Where only reservations are in the way, some may be given back at any moment.
        used_up = (window.limit or 0) - balance.spent < least[unit]
        ready = max(ready, window.ends if used_up else min(window.ends, now + _SOON))
    worst = max(lines, key=lambda line: (line.unit == "nanousd", line.ends))
    whose = "this key" if worst.scope.startswith("key:") else "all keys together"
    unit = _SPELLED[worst.unit]
    what = f"{worst.left:g} of {worst.limit:g} {unit} are left for {whose} this {worst.period} (UTC)"
    held = f", {worst.reserved:g} are held by requests in progress" if worst.reserved else ""
    wait = max(1.0, math.ceil(ready - now))
    status = 402 if any(line.unit == "nanousd" for line in lines) else 429
    return Refused(f"{what}{held}; try again in {wait:g} s", status=status, left=left, retry_after=wait)


def _line(place: _Place, balance: Balance) -> Line:
    scale = NANO if place.unit == "nanousd" else 1
    limit = None if place.window.limit is None else place.window.limit / scale
    return Line(
        place.scope, place.unit, place.period, balance.spent / scale, balance.reserved / scale, limit, place.window.ends
    )
