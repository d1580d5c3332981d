"""Counters in one SQLite file: the default. They survive restarts and killed processes, and replicas on one machine
may share the file.

Source: our own. WAL with `synchronous=NORMAL`: a power cut can lose the last commits, never the file's order; all that
is lost then is counted spending of the last moment. A step writes a few pages of the log and waits for no disk, so it
is made in the event loop itself, all steps of one turn of the loop in one commit: a change of thread to and fro costs
more than the step. What can take long does not happen there: while another process holds the file, steps are handed to
a thread that waits for it, and moving the log into the file has a thread of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar, cast

from ponder.core.errors import BadInput
from ponder.gateway.counters import LATE, Ask, Balance, CountersDown, Short, decide, shares
from ponder.gateway.sqlite_worker import Order, SqliteWorker, connect, deliver, perform

__all__ = ["SqliteCounters"]

logger = logging.getLogger(__name__)
T = TypeVar("T")
# Steps between two moves of the log into the file: some ten megabytes of log.
_STEPS = 1000
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, spent INTEGER NOT NULL, reserved INTEGER NOT NULL,"
    " forgotten REAL NOT NULL) WITHOUT ROWID",
    # `shares` is {counter: [unit, amount]}; `open` is 0 once the lease has ended and the amounts are in `spent`.
    "CREATE TABLE IF NOT EXISTS reservations (id TEXT PRIMARY KEY, open INTEGER NOT NULL, expires REAL NOT NULL,"
    " shares TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS leases ON reservations (open, expires)",
    "CREATE INDEX IF NOT EXISTS ends ON counters (forgotten)",
)


class SqliteCounters:
    """Counters in a file, or in memory for `:memory:`.

    Raises:
        BadInput: the file cannot be used.
    """

    def __init__(self, file: str | Path = ":memory:") -> None:
        self._file, self._steps = str(file), 0
        self._orders: list[Order] = []
        self._handed: list[Order] = []  # to the thread
        # Only for what finds the file held by another process.
        self._worker: SqliteWorker | None = None
        self._moving: asyncio.Future[None] | None = None
        self._db: sqlite3.Connection | None = connect(file, _SCHEMA, patience=0.0)
        self._db.execute("PRAGMA wal_autocheckpoint=0")

    async def reserve(self, reservation: str, asks: Sequence[Ask], *, expires: float) -> dict[str, int] | Short:
        """Reserve everywhere or nowhere; see `Counters`."""

        def work(db: sqlite3.Connection) -> dict[str, int] | Short:
            limited = [window.counter for ask in asks for window in ask.windows if window.limit is not None]
            outcome = decide(asks, _balances(db, limited))
            if isinstance(outcome, Short):
                return outcome
            db.executemany(
                "INSERT INTO counters VALUES (?, 0, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                " reserved = reserved + excluded.reserved",
                [(w.counter, outcome[ask.unit], w.forgotten) for ask in asks for w in ask.windows],
            )
            kept = json.dumps(shares(asks, outcome))
            db.execute("INSERT INTO reservations VALUES (?, 1, ?, ?)", (reservation, expires, kept))
            return outcome

        return await self._run(work)

    async def settle(self, reservation: str, used: Mapping[str, int]) -> bool:
        """Replace a reservation by what was used; see `Counters`."""

        def work(db: sqlite3.Connection) -> bool:
            row = db.execute("SELECT open, shares FROM reservations WHERE id = ?", (reservation,)).fetchone()
            if row is None:
                return False
            still, kept = row
            db.executemany(
                "UPDATE counters SET reserved = reserved - ?, spent = spent + ? WHERE name = ?",
                [
                    (amount, used.get(unit, 0), name) if still else (0, used.get(unit, 0) - amount, name)
                    for name, (unit, amount) in json.loads(kept).items()
                ],
            )
            db.execute("DELETE FROM reservations WHERE id = ?", (reservation,))
            return True

        return await self._run(work)

    async def expire(self, now: float) -> int:
        """Count ended leases as spent and drop what is forgotten; see `Counters`."""

        def work(db: sqlite3.Connection) -> int:
            rows = db.execute("SELECT id, shares FROM reservations WHERE open AND expires <= ?", (now,)).fetchall()
            for name, kept in rows:
                db.executemany(
                    "UPDATE counters SET reserved = reserved - ?1, spent = spent + ?1 WHERE name = ?2",
                    [(amount, counter) for counter, (_, amount) in json.loads(kept).items()],
                )
                db.execute("UPDATE reservations SET open = 0 WHERE id = ?", (name,))
            db.execute("DELETE FROM reservations WHERE NOT open AND expires <= ?", (now - LATE,))
            db.execute("DELETE FROM counters WHERE forgotten <= ?", (now,))
            return len(rows)

        return await self._run(work)

    async def read(self, counters: Sequence[str]) -> dict[str, Balance]:
        """Return balances by name; see `Counters`."""
        found = await self._run(lambda db: _balances(db, counters))
        return {name: found.get(name, Balance()) for name in counters}

    async def close(self) -> None:
        """Finish what was handed in and close the file."""
        self._turn()
        if self._worker is not None:
            await self._worker.close()
        if self._moving is not None:
            await self._moving
        if self._db is not None:
            self._db.close()
            self._db = None

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._db is None:
            raise CountersDown(f"the counters in {self._file!r} are closed")
        loop = asyncio.get_running_loop()
        order = Order(work, loop, loop.create_future())
        if not self._orders:
            loop.call_soon(self._turn)
        self._orders.append(order)
        assert order.future is not None
        try:
            return cast(T, await order.future)
        except (sqlite3.Error, BadInput) as err:
            raise CountersDown(f"the counters in {self._file!r} cannot be used: {err}") from err

    def _turn(self) -> None:
        """Make the steps that this turn of the loop has brought."""
        orders, self._orders = self._orders, []
        if not orders:
            return
        # While a step waits in the thread, later ones go there too: a settlement must not overtake its reservation.
        self._handed = [order for order in self._handed if not order.over]
        if self._db is None or self._handed or not perform(self._db, orders):
            self._hand(orders)
            return
        deliver(orders)
        self._steps += len(orders)
        if self._steps >= _STEPS and self._file != ":memory:" and (self._moving is None or self._moving.done()):
            self._steps = 0
            self._moving = asyncio.get_running_loop().run_in_executor(None, self._move_log)

    def _hand(self, orders: Sequence[Order]) -> None:
        """Leave steps to the thread that waits for the file; where that cannot be, they have failed."""
        try:
            if self._worker is None:
                if self._db is None:
                    raise sqlite3.ProgrammingError("they are closed")
                self._worker = SqliteWorker(self._file, ())
            for order in orders:
                self._worker.put(order)
        except (sqlite3.Error, BadInput) as err:
            for order in orders:
                order.error = err
            deliver(orders)
        else:
            self._handed += orders

    def _move_log(self) -> None:
        """Move the log into the file: most of it beside the steps, the rest in a short hold that empties the log."""
        try:
            with closing(sqlite3.connect(self._file, timeout=5.0)) as db:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as err:  # the log only grows; the next thousand steps try again
            logger.warning("the log of %r was not moved into the file: %s", self._file, err)


def _balances(db: sqlite3.Connection, names: Sequence[str]) -> dict[str, Balance]:
    marks = ", ".join("?" * len(names))
    rows = db.execute(f"SELECT name, spent, reserved FROM counters WHERE name IN ({marks})", tuple(names))
    return {name: Balance(spent, reserved) for name, spent, reserved in rows}
