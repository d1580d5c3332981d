"""What every store of counters does: reserve before spending, settle after, in one atomic step each.

A counter belongs to a scope, a unit and a window ("key:alice|tokens|2026-11-26") and holds two whole numbers, `spent`
and `reserved`. A request reserves in all its counters or in none, and each unit gets the same amount in all of them:
what was wanted, or what the tightest window has left. Amounts are integers (money in billionths of a dollar), so sums
are exact. A reservation that is not settled until its lease ends (the process died) is counted as spent in full: the
calls behind it may have been sent, and a hard cap must not depend on a process having lived. If the process was only
slow, its late settlement still replaces the full amount by the true one.

Source: our own. Three stores keep this contract and one battery of tests runs on all: SQLite, Redis, PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ponder.core.errors import PonderError

__all__ = ["LATE", "Ask", "Balance", "Counters", "CountersDown", "Short", "Window", "decide", "open_counters", "shares"]

# Seconds for which an expired reservation still waits for a late settlement.
LATE = 2 * 86400.0


class CountersDown(PonderError):
    """The store of counters does not answer; nothing may be spent until it does."""

    retryable = True
    hint = "Check the server or file named by [counters] url."


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """One counter.

    Attributes:
        counter: its name.
        limit: most that may be spent in it, >= 0; None only counts.
        ends: when the window is over, in seconds since 1970 (UTC).
        forgotten: when the store may drop the counter, >= `ends`.
    """

    counter: str
    limit: int | None
    ends: float
    forgotten: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """What a request wants of one unit.

    Attributes:
        unit: "tokens", "nanousd" or "requests".
        wanted: amount to reserve, >= 0.
        least: amount below which the request makes no sense, in [0, wanted].
        windows: counters that all must have room.
    """

    unit: str
    wanted: int
    least: int
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """What a counter holds, in its unit."""

    spent: int = 0
    reserved: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Short:
    """Why nothing was reserved: the windows that had less left than the least amount.

    Attributes:
        windows: (unit, window, its balance), at least one.
    """

    windows: tuple[tuple[str, Window, Balance], ...] = field(default=())


class Counters(Protocol):
    """A store of counters. Each method is atomic, also against other processes, and raises `CountersDown`."""

    async def reserve(self, reservation: str, asks: Sequence[Ask], *, expires: float) -> dict[str, int] | Short:
        """Reserve in all windows of all asks; return the amount by unit, or what is short (then nothing changed)."""
        ...

    async def settle(self, reservation: str, used: Mapping[str, int]) -> bool:
        """Replace a reservation by what was used, in [0, ...] by unit (a unit left out used nothing).

        Returns:
            Whether it was still known. A second settlement changes nothing.
        """
        ...

    async def expire(self, now: float) -> int:
        """Count reservations whose lease has ended as spent, drop what is forgotten; return how many ended."""
        ...

    async def read(self, counters: Sequence[str]) -> dict[str, Balance]:
        """Return the balance of each counter named; zero for unknown ones."""
        ...

    async def close(self) -> None:
        """Let the store go."""
        ...


def decide(asks: Sequence[Ask], balances: Mapping[str, Balance]) -> dict[str, int] | Short:
    """Return what each unit gets, or which windows are short; the same rule for every store."""
    granted: dict[str, int] = {}
    short = []
    for ask in asks:
        amount = ask.wanted
        for window in ask.windows:
            if window.limit is None:
                continue
            balance = balances.get(window.counter, Balance())
            left = window.limit - balance.spent - balance.reserved
            if left < ask.least:
                short.append((ask.unit, window, balance))
            amount = min(amount, left)
        granted[ask.unit] = max(amount, 0)
    return Short(windows=tuple(short)) if short else granted


def shares(asks: Sequence[Ask], granted: Mapping[str, int]) -> dict[str, tuple[str, int]]:
    """Return (unit, amount) by counter: what a store keeps with a reservation."""
    return {window.counter: (ask.unit, granted[ask.unit]) for ask in asks for window in ask.windows}


async def open_counters(url: str) -> Counters:
    """Open the store that `url` names: "redis://...", "postgresql://...", else a SQLite file or ":memory:".

    Raises:
        BadInput: a file that cannot be used, or a scheme that is not known.
        MissingExtra: the library of that store is not installed.
        CountersDown: the server does not answer.
    """
    from ponder.core.errors import BadInput

    scheme, separator, _ = url.partition(":")
    if not separator or len(scheme) < 2 or not scheme.isalnum():  # a path, a drive's too, or ":memory:"
        from ponder.gateway.counters_sqlite import SqliteCounters

        return SqliteCounters(url)
    if scheme in ("redis", "rediss", "unix"):
        from ponder.gateway.counters_redis import RedisCounters

        return await RedisCounters.open(url)
    if scheme in ("postgres", "postgresql"):
        from ponder.gateway.counters_postgres import PostgresCounters

        return await PostgresCounters.open(url)
    raise BadInput(f"counters url: no store is called {scheme!r}; write a path, redis://... or postgresql://...")
