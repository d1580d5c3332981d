"""One SQLite file, one thread: the event loop never waits for a disk, and works that queue share a commit.

Source: our own. Each piece of work is a function of the connection. The thread takes all that wait, runs them in one
transaction, commits, and then answers all at once; if one fails, the batch is rolled back and each is run alone, so
that it fails alone. Work that was handed in is done even if whoever waits for it is cancelled.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from ponder.core.errors import BadInput

__all__ = ["Order", "SqliteWorker", "connect", "deliver", "perform"]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
_BATCH = 256
_OPENING = 10.0  # seconds to wait for another process while opening a file


@dataclass(slots=True)
class Order:
    """A piece of work, who waits for it, what came of it, and whether that has been told."""

    work: Work
    loop: asyncio.AbstractEventLoop | None = None
    future: asyncio.Future[Any] | None = None
    outcome: Any = None
    error: BaseException | None = None
    over: bool = False


def connect(
    file: str | Path, schema: Sequence[str], *, synchronous: str = "NORMAL", patience: float = 10.0
) -> sqlite3.Connection:
    """Open a file in WAL mode and make what of the schema is not there yet; see `SqliteWorker` for the arguments.

    Raises:
        BadInput: the file cannot be opened or is no database.
    """
    try:
        if str(file) != ":memory:":
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(str(file), timeout=_OPENING, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={synchronous}")
        for statement in schema:
            db.execute(statement)
        db.execute(f"PRAGMA busy_timeout={round(1000 * patience)}")
    except (sqlite3.Error, OSError) as err:
        raise BadInput(f"cannot use the database {str(file)!r}: {err}") from err
    return db


def perform(db: sqlite3.Connection, orders: Sequence[Order]) -> bool:
    """Do pieces of work in one transaction; if one fails, roll back and do each alone, so that it fails alone.

    Returns:
        False if another process holds the file: then nothing was done, and each order says so.
    """
    free = _together(db, orders)
    if free is None:
        for order in orders:
            _together(db, [order])
    return free is not False


def _together(db: sqlite3.Connection, orders: Sequence[Order]) -> bool | None:
    """Return whether all was done (a lone failure is noted), or None where something in the batch failed."""
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as err:  # no order would fare better alone
        for order in orders:
            order.error = err
        return False
    try:
        for order in orders:
            order.error, order.outcome = None, order.work(db)
        db.execute("COMMIT")
    except Exception as err:  # the others must not suffer; whoever waits for this order gets the error
        if db.in_transaction:
            db.execute("ROLLBACK")
        if len(orders) > 1:
            return None
        orders[0].error, orders[0].outcome = err, None
    return True


class SqliteWorker:
    """A connection in its own thread.

    Args:
        file: SQLite file (its folder is made), or ":memory:".
        schema: statements that make what is not there yet.
        synchronous: "NORMAL" survives a killed process, "FULL" a power cut as well.
        patience: seconds to wait for another process that writes the file.

    Raises:
        BadInput: the file cannot be opened or is no database.
    """

    def __init__(
        self, file: str | Path, schema: Sequence[str], *, synchronous: str = "NORMAL", patience: float = 10.0
    ) -> None:
        self.file = str(file)
        self.failed = 0
        # One thread uses it at a time: this one until it has started the worker, then the worker.
        self._db = connect(file, schema, synchronous=synchronous, patience=patience)
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=f"sqlite {self.file}", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in the thread and return what it returned.

        Raises:
            sqlite3.Error: the work failed, and nothing of it was kept; or the worker is closed.
        """
        loop = asyncio.get_running_loop()
        order = Order(work, loop, loop.create_future())
        self.put(order)
        assert order.future is not None
        return cast(T, await order.future)

    def post(self, work: Work) -> None:
        """Do `work` in the thread; a failure is counted in `failed` and otherwise nobody's business.

        Raises:
            sqlite3.ProgrammingError: the worker is closed.
        """
        self.put(Order(work))

    async def close(self) -> None:
        """Finish all that was handed in, then close the file. Closing twice does nothing."""
        if not self._closed:
            self._closed = True
            self._orders.put(None)
        await asyncio.to_thread(self._thread.join)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def put(self, order: Order) -> None:
        """Take an order.

        Raises:
            sqlite3.ProgrammingError: the worker is closed.
        """
        if self._closed:
            raise sqlite3.ProgrammingError(f"the database {self.file!r} is closed")
        self._orders.put(order)

    def _serve(self) -> None:
        last = False
        while not last:
            batch, order = [], self._orders.get()
            while order is not None:
                batch.append(order)
                if len(batch) == _BATCH:
                    break
                try:
                    order = self._orders.get_nowait()
                except queue.Empty:
                    break
            last = order is None
            if batch:
                perform(self._db, batch)
                self._answer(batch)
        self._db.close()

    def _answer(self, batch: Sequence[Order]) -> None:
        self.failed += sum(order.error is not None and order.future is None for order in batch)
        loops = {id(order.loop): order.loop for order in batch if order.loop is not None}
        for loop in loops.values():
            orders = [order for order in batch if order.loop is loop]
            try:
                loop.call_soon_threadsafe(deliver, orders)
            except RuntimeError:  # that loop has ended; nobody waits any more
                continue


def deliver(orders: Sequence[Order]) -> None:
    """Tell those who wait, in their event loop."""
    for order in orders:
        assert order.future is not None
        order.over = True
        if order.future.done():  # cancelled
            continue
        if order.error is None:
            order.future.set_result(order.outcome)
        else:
            order.future.set_exception(order.error)
