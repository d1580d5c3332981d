"""The traces of a run folder: one SQLite file, a row for each run, its JSON lines compressed.

A trace is put before the row of its run, so a row that names a trace finds it; a killed process leaves at most a trace
without a row, which the same run writes over when it comes again. Both a trace and the whole file are bounded: of a
trace that is too long, first the texts are shortened and then the middle is left out, and an event says so.
Source: our own (DESIGN §4, §6). Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from ponder.core.errors import BadInput
from ponder.core.trace import Event, parse_lines

__all__ = ["LIMIT", "Traces", "pack", "read_packed", "unpack"]

logger = logging.getLogger(__name__)

# Bytes of all traces of a folder, compressed, and of one trace, not compressed.
LIMIT = 1 << 30
_MOST = 1 << 20
_SHORTEST = 64  # characters that a text keeps at least
_TABLE = (
    "CREATE TABLE IF NOT EXISTS traces (run TEXT PRIMARY KEY, events INTEGER NOT NULL, size INTEGER NOT NULL,"
    " body BLOB NOT NULL) WITHOUT ROWID"
)


class Traces:
    """Traces by the key of their run. A file that cannot be written warns once, and the job goes on without.

    Args:
        file: made where there is none.
        limit: bytes of all traces together; what comes later is not kept.

    Raises:
        BadInput: the file cannot be opened.

    Attributes:
        size: bytes that are kept.
        error: why traces are not kept any more, or None.
    """

    def __init__(self, file: Path | str, *, limit: int = LIMIT) -> None:
        self.file, self.limit = str(file), limit
        self.error: str | None = None
        try:
            self._db = sqlite3.connect(self.file, timeout=30, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(_TABLE)
            (self.size,) = self._db.execute("SELECT coalesce(sum(size), 0) FROM traces").fetchone()
        except sqlite3.Error as err:
            raise BadInput(f"cannot use the traces {self.file!r}: {err}") from err

    def put(self, run: str, body: bytes) -> bool:
        """Keep what `pack` made of a run, in place of an earlier one; False where it is not kept."""
        if self.error is not None:
            return False
        if self.size + len(body) > self.limit:
            self._lost(f"they have reached {self.limit:,} bytes")
            return False
        count, _, rest = body.partition(b"\n")
        try:
            self._db.execute("INSERT OR REPLACE INTO traces VALUES (?, ?, ?, ?)", (run, int(count), len(rest), rest))
        except sqlite3.Error as err:
            self._lost(str(err))
            return False
        self.size += len(rest)
        return True

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _lost(self, why: str) -> None:
        self.error = f"no more traces are kept in {self.file!r}: {why}"
        logger.warning("%s", self.error)


def pack(events: Sequence[Event], *, most: int = _MOST) -> bytes:
    """Return a trace as `Traces.put` takes it: the number of its events, a line break, the compressed JSON lines.

    Args:
        events: of one run.
        most: bytes before compression.
    """
    lines = _fitted(events, most)
    text = "\n".join(lines) + "\n"
    return f"{len(events)}\n".encode() + zlib.compress(text.encode(), level=1)


def unpack(body: bytes, where: str = "a trace") -> list[Event]:
    """Return the events of the compressed lines.

    Raises:
        BadInput: it is no trace.
    """
    try:
        text = zlib.decompress(body).decode()
    except (zlib.error, UnicodeDecodeError) as err:
        raise BadInput(f"{where} cannot be read: {err}") from err
    return parse_lines(text.split("\n"), where)


def read_packed(file: Path | str, runs: Iterable[str]) -> dict[str, list[Event]]:
    """Read the traces of some runs; those that are not there are left out.

    Raises:
        BadInput: the file cannot be read, or holds something else.
    """
    found: dict[str, list[Event]] = {}
    try:
        address = f"{Path(file).absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as db:
            for run in runs:
                row = db.execute("SELECT body FROM traces WHERE run = ?", (run,)).fetchone()
                if row is not None:
                    found[run] = unpack(row[0], f"the trace of run {run} in {str(file)!r}")
    except sqlite3.Error as err:
        raise BadInput(f"cannot read the traces {str(file)!r}: {err}") from err
    return found


def _fitted(events: Sequence[Event], most: int) -> list[str]:
    lines = [event.to_line() for event in events]
    length = 8192
    while _size(lines) > most and length >= _SHORTEST:
        lines = [replace(event, data=_shortened(event.data, length)).to_line() for event in events]
        length //= 2
    return lines if _size(lines) <= most else list(_without_middle(events, lines, most))


def _size(lines: Iterable[str]) -> int:
    return sum(len(line) + 1 for line in lines)  # lines are ASCII


def _shortened(value: Any, length: int) -> Any:
    """Return a JSON value with its texts cut at so many characters."""
    if isinstance(value, str):
        return value if len(value) <= length else f"{value[:length]}… ({len(value) - length:,} more characters)"
    if isinstance(value, dict):
        return {name: _shortened(item, length) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(item, length) for item in value]
    return value


def _without_middle(events: Sequence[Event], lines: Sequence[str], most: int) -> Iterator[str]:
    """Yield lines from both ends, and an event between them that says how many were left out."""
    room = most - 200  # for that event
    ends = [0, len(lines)]
    for at in range(len(lines)):
        front = at % 2 == 0
        line = lines[ends[0]] if front else lines[ends[1] - 1]
        room -= len(line) + 1
        if room < 0:
            break
        ends[0 if front else 1] += 1 if front else -1
    first, last = ends
    yield from lines[:first]
    gone = events[first]
    yield Event(0, gone.parent, gone.t, "left_out", "instant", {"events": last - first}).to_line()
    yield from lines[last:]
