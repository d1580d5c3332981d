"""The book of requests: what each asked, what was tried, what it cost, for as long as the settings say.

Source: our own (DESIGN §4). `save` puts a record into a bounded queue and returns; packing and writing happen in a
thread, several records to a commit. A full queue (the disk is slower than the traffic) drops the newest record and
counts it. `close` writes all that was taken. Reading goes through the same queue, so a record that was saved is found.
Events are kept as compressed JSON; names, counts and times are columns, so that lists and sums need no unpacking.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ponder.core.trace import Event, finite
from ponder.core.usage import Usage
from ponder.gateway.redact import without_texts
from ponder.gateway.settings import Traces
from ponder.gateway.sqlite_worker import SqliteWorker

__all__ = ["TraceBook", "TraceRecord", "TraceRow", "Traffic"]

logger = logging.getLogger(__name__)
SCHEMA = 1
_WAITING = 2000  # records in memory that wait to be written
_TIDY = 200  # records between two looks for old ones
_TABLES = (
    "CREATE TABLE IF NOT EXISTS traces (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " v INTEGER NOT NULL, created REAL NOT NULL, key TEXT NOT NULL, method TEXT NOT NULL, model TEXT NOT NULL,"
    " status INTEGER NOT NULL, stopped TEXT NOT NULL, seconds REAL NOT NULL, calls INTEGER NOT NULL,"
    " tokens INTEGER NOT NULL, usd REAL, body BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS traces_created ON traces (created)",
)
_Rows: TypeAlias = "list[TraceRow]"
_Lines: TypeAlias = "list[Traffic]"
_Found: TypeAlias = list[tuple[Any, ...]]
_COLUMNS = "number, id, created, key, method, model, status, stopped, seconds, calls, tokens, usd"


@dataclass(frozen=True, kw_only=True)
class TraceRecord:
    """All that is kept of one request.

    Attributes:
        id: of the trace (header `x-ponder-trace`).
        created: seconds since 1970.
        key, method, model: names: of the client's key, of what ran, of the public model.
        status: HTTP status of the answer.
        stopped: why the run ended; "" where none began.
        seconds: from the request to the last byte.
        paid: what was really spent, by role.
        request: the client's body as JSON, without headers.
        result: `Result.to_json()`; empty where there is none.
        events: of the run.
    """

    id: str
    created: float
    key: str
    method: str
    model: str
    status: int
    stopped: str = ""
    seconds: float = 0.0
    paid: Mapping[str, Usage] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Event] = ()


@dataclass(frozen=True, kw_only=True)
class TraceRow:
    """A record as a list shows it; `number` counts up and pages (`before=`)."""

    number: int
    id: str
    created: float
    key: str
    method: str
    model: str
    status: int
    stopped: str
    seconds: float
    calls: int
    tokens: int
    usd: float | None


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Requests of one key, method and model together.

    Attributes:
        requests, failed: all, and those with a status of 400 or more.
        calls, tokens, usd: spent (`usd` where known).
        p50, p90, p99: seconds that so many percent of requests took at most (nearest rank).
    """

    key: str
    method: str
    model: str
    requests: int
    failed: int
    calls: int
    tokens: int
    usd: float
    p50: float
    p90: float
    p99: float


class TraceBook:
    """Keeps records in a SQLite file; with `rules.file` None it keeps nothing and finds nothing.

    Raises:
        BadInput: the file cannot be used.

    Attributes:
        dropped: records that were not taken because too many waited.
    """

    def __init__(self, rules: Traces, *, waiting: int = _WAITING, clock: Callable[[], float] = time.time) -> None:
        self.rules, self.dropped = rules, 0
        self._most, self._clock = waiting, clock
        self._waiting, self._saved = 0, 0
        self._lock = threading.Lock()  # protects `_waiting`: raised by the loop, lowered by the worker
        self._worker = None if rules.file is None else SqliteWorker(rules.file, _TABLES)

    @property
    def lost(self) -> int:
        """Records that were dropped, or taken and then could not be written."""
        return self.dropped + (0 if self._worker is None else self._worker.failed)

    def save(self, record: TraceRecord) -> bool:
        """Take a record to be written soon; return False where it was dropped or none are kept. Never waits."""
        if self._worker is None:
            return False
        with self._lock:
            full = self._waiting >= self._most
            self._waiting += not full
        if full:
            if not self.dropped:
                logger.warning("traces come faster than %r takes them; some are dropped", self.rules.file)
            self.dropped += 1
            return False
        # Counted once, though a batch that fails is tried again.
        left = _Once(self._written)
        self._worker.post(lambda db: self._write(db, record, left))
        self._saved += 1
        if self._saved % _TIDY == 1:
            self._worker.post(self._tidy)
        return True

    async def get(self, trace_id: str) -> TraceRecord | None:
        """Return a record, or None."""
        if self._worker is None:
            return None
        row = await self._worker.run(
            lambda db: db.execute(f"SELECT {_COLUMNS}, body FROM traces WHERE id = ?", (trace_id,)).fetchone()
        )
        return None if row is None else _unpack(row)

    async def list(
        self,
        *,
        limit: int = 50,
        before: int | None = None,
        since: float | None = None,
        key: str | None = None,
        method: str | None = None,
        model: str | None = None,
    ) -> _Rows:
        """Return rows, the newest first.

        Args:
            limit: most rows, >= 1.
            before: number of the last row of the page before.
            since: oldest, in seconds since 1970.
            key: only of this key,
            method: of this method,
            model: of this model.
        """
        wanted = {"number < ?": before, "created >= ?": since, "key = ?": key, "method = ?": method, "model = ?": model}
        given = {clause: value for clause, value in wanted.items() if value is not None}
        where = f" WHERE {' AND '.join(given)}" if given else ""
        query = f"SELECT {_COLUMNS} FROM traces{where} ORDER BY number DESC LIMIT ?"
        rows = await self._rows(query, (*given.values(), limit))
        names = _COLUMNS.split(", ")
        return [TraceRow(**dict(zip(names, row, strict=True))) for row in rows]

    async def traffic(self, since: float) -> _Lines:
        """Return what passed since then (seconds since 1970), by key, method and model, the most frequent first."""
        rows = await self._rows(
            "SELECT key, method, model, status, seconds, calls, tokens, usd FROM traces WHERE created >= ?", (since,)
        )
        groups: dict[tuple[str, str, str], _Found] = {}
        for key, method, model, *rest in rows:
            groups.setdefault((key, method, model), []).append(tuple(rest))
        lines = []
        for (key, method, model), found in groups.items():
            statuses, seconds, calls, tokens, usd = zip(*found, strict=True)
            ordered = sorted(seconds)
            lines.append(
                Traffic(
                    key=key,
                    method=method,
                    model=model,
                    requests=len(found),
                    failed=sum(status >= 400 for status in statuses),
                    calls=sum(calls),
                    tokens=sum(tokens),
                    usd=sum(value or 0.0 for value in usd),
                    p50=_rank(ordered, 50),
                    p90=_rank(ordered, 90),
                    p99=_rank(ordered, 99),
                )
            )
        return sorted(lines, key=lambda line: (-line.requests, line.key, line.method, line.model))

    async def tidy(self) -> None:
        """Drop what is too old or too much now (it also happens by itself, every few hundred records)."""
        if self._worker is not None:
            await self._worker.run(self._tidy)

    async def close(self) -> None:
        """Write all that was taken, then close the file."""
        if self._worker is not None:
            if not self._worker.closed:
                self._worker.post(self._tidy)
            await self._worker.close()

    async def _rows(self, query: str, values: tuple[Any, ...]) -> _Found:
        if self._worker is None:
            return []
        return await self._worker.run(lambda db: db.execute(query, values).fetchall())

    def _written(self) -> None:
        with self._lock:
            self._waiting -= 1

    def _write(self, db: sqlite3.Connection, record: TraceRecord, left: _Once) -> None:
        left()
        paid = record.paid.values()
        known = [usage.usd for usage in paid if usage.usd is not None]
        db.execute(
            "INSERT OR REPLACE INTO traces (id, v, created, key, method, model, status, stopped, seconds, calls,"
            " tokens, usd, body) VALUES (:id, :v, :created, :key, :method, :model, :status, :stopped, :seconds, :calls,"
            " :tokens, :usd, :body)",
            {
                **{name: getattr(record, name) for name in ("id", "created", "key", "method", "model", "status")},
                **{name: getattr(record, name) for name in ("stopped", "seconds")},
                "v": SCHEMA,
                "calls": sum(usage.calls for usage in paid),
                "tokens": sum(usage.tokens for usage in paid),
                "usd": sum(known) if known else None,
                "body": _pack(record, texts=self.rules.texts),
            },
        )

    def _tidy(self, db: sqlite3.Connection) -> None:
        if self.rules.days is not None:
            db.execute("DELETE FROM traces WHERE created < ?", (self._clock() - self.rules.days * 86400.0,))
        if self.rules.rows is not None:
            db.execute(
                "DELETE FROM traces WHERE number <= (SELECT number FROM traces ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (self.rules.rows,),
            )


class _Once:
    """Calls a function the first time only."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function

    def __call__(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            function()


def _pack(record: TraceRecord, *, texts: bool) -> bytes:
    events = [
        {"id": e.id, "parent": e.parent, "t": round(e.t, 6), "kind": e.kind, "phase": e.phase, "data": e.data}
        for e in record.events
    ]
    request, result = record.request, record.result
    if not texts:
        # The client wrote the keys of a request, so none of them may stay for being at the top.
        request = without_texts(request, top=False)
        result = without_texts(result)
        events = [{**event, "data": without_texts(event["data"])} for event in events]
    body = {
        "paid": {role: usage.to_json() for role, usage in record.paid.items()},
        "request": request,
        "result": result,
        "events": events,
    }
    return zlib.compress(json.dumps(finite(body), ensure_ascii=False, default=str).encode("utf-8", "replace"), 1)


def _unpack(row: Sequence[Any]) -> TraceRecord:
    _, trace_id, created, key, method, model, status, stopped, seconds, *_, packed = row
    body = json.loads(zlib.decompress(packed))
    return TraceRecord(
        id=trace_id,
        created=created,
        key=key,
        method=method,
        model=model,
        status=status,
        stopped=stopped,
        seconds=seconds,
        paid={role: Usage(**usage) for role, usage in body["paid"].items()},
        request=body["request"],
        result=body["result"],
        events=[Event(**event) for event in body["events"]],
    )


def _rank(ordered: Sequence[float], percent: int) -> float:
    """Return the nearest-rank percentile: the smallest value that `percent` % of all do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
