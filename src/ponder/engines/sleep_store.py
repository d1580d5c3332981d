"""What was thought about a context before its questions, kept in one SQLite file and found in a moment.

Source: our own; the store that card 37 (arXiv:2504.13171) asks for. Key: the digest of the context, the model that
slept, and the settings and prompts of the sleep. A name (`context_id`) leads to the newest entry under it, context
included, so that a question may come with the name alone; when the context under a name changes, what was thought about
the old one goes. Two runs of one process that meet a new context at once sleep once.
Cost: one indexed look-up. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from ponder.core.errors import BadInput
from ponder.core.usage import Usage

__all__ = ["Learned", "SleepStore", "digest_of"]

_SCHEMA = "1"
_FLIGHTS: WeakValueDictionary[tuple[str, str, int], asyncio.Lock] = WeakValueDictionary()


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What is kept of a context.

    Attributes:
        context: the text itself.
        memory: what was thought about it.
        model: that thought.
        usage: what it cost.
        context_id: a name for the context, "" for none.
        created: seconds since 1970.
        facts: how it was made.
    """

    context: str
    memory: str
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    context_id: str = ""
    created: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of the context."""
        return digest_of(self.context)


def digest_of(context: str) -> str:
    """Return what tells two contexts apart."""
    return hashlib.sha256(context.encode("utf-8", "surrogatepass")).hexdigest()


class SleepStore:
    """Entries in a file (":memory:" for none on disk). Use it from one thread, and close it.

    Raises:
        BadInput: the file cannot be opened, is no such store, or is of another version.
    """

    def __init__(self, file: Path | str = ":memory:") -> None:
        self.file = str(file)
        try:
            if self.file != ":memory:":
                Path(file).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.file, timeout=30, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("CREATE TABLE IF NOT EXISTS sleep_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS sleeps (key TEXT PRIMARY KEY, context_id TEXT NOT NULL,"
                " digest TEXT NOT NULL, created REAL NOT NULL, body TEXT NOT NULL) WITHOUT ROWID"
            )
            self._db.execute("CREATE INDEX IF NOT EXISTS sleeps_by_name ON sleeps (context_id, created)")
            self._db.execute("INSERT OR IGNORE INTO sleep_meta VALUES ('schema', ?)", (_SCHEMA,))
            (version,) = self._db.execute("SELECT value FROM sleep_meta WHERE name = 'schema'").fetchone()
        except (sqlite3.Error, OSError) as err:
            raise BadInput(f"cannot use the sleep store {self.file!r}: {err}") from err
        if version != _SCHEMA:
            self._db.close()
            raise BadInput(f"the sleep store {self.file!r} has schema {version}, this ponder reads {_SCHEMA}")

    @staticmethod
    def key(context: str, model: str, facts: Mapping[str, Any]) -> str:
        """Return the key of what `model` (its fingerprint) thinks about a context when it sleeps in this way."""
        text = json.dumps([digest_of(context), model, dict(facts)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def get(self, key: str, context_id: str = "") -> Learned | None:
        """Return the entry of a key, and let `context_id` lead to it too; None for none."""
        (found,) = self._rows("SELECT body FROM sleeps WHERE key = ?", key) or (None,)
        if found is None or not context_id or found.context_id == context_id:
            return found
        # An entry that has a name keeps it: the new one leads to a copy.
        place = f"{key}|{context_id}" if found.context_id else key
        found = replace(found, context_id=context_id)
        if place == key or not self._rows("SELECT body FROM sleeps WHERE key = ?", place):
            self.put(place, found)
        return found

    def find(self, context_id: str) -> Learned | None:
        """Return the newest entry under a name; None for none."""
        found = self._rows(
            "SELECT body FROM sleeps WHERE context_id = ? ORDER BY created DESC, key LIMIT 1", context_id
        )
        return found[0] if found and context_id else None

    def put(self, key: str, learned: Learned) -> None:
        """Keep an entry; entries of another context under its name are dropped.

        Raises:
            BadInput: the file cannot be written.
        """
        created = learned.created or time.time()
        body = {
            "context": learned.context,
            "memory": learned.memory,
            "model": learned.model,
            "usage": learned.usage.to_json(),
            "context_id": learned.context_id,
            "created": created,
            "facts": dict(learned.facts),
        }
        row = (key, learned.context_id, learned.digest, created, json.dumps(body))
        try:
            self._db.execute("BEGIN IMMEDIATE")
            if learned.context_id:
                self._db.execute("DELETE FROM sleeps WHERE context_id = ? AND digest != ?", row[1:3])
            self._db.execute("INSERT OR REPLACE INTO sleeps VALUES (?, ?, ?, ?, ?)", row)
            self._db.execute("COMMIT")
        except sqlite3.Error as err:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise BadInput(f"cannot write the sleep store {self.file!r}: {err}") from err

    def drop(self, context_id: str) -> int:
        """Forget what is kept under a name, and return how many entries that were."""
        return self._db.execute("DELETE FROM sleeps WHERE context_id = ?", (context_id,)).rowcount

    def prune(self, *, before: float | None = None, rows: int | None = None) -> int:
        """Forget what is too old or too much, and return how many entries that were.

        Args:
            before: seconds since 1970: entries made earlier go.
            rows: most entries that stay, the newest ones.

        Raises:
            BadInput: the file cannot be written.
        """
        gone = 0
        try:
            if before is not None:
                gone += self._db.execute("DELETE FROM sleeps WHERE created < ?", (before,)).rowcount
            if rows is not None and len(self) > rows:
                newest = "SELECT key FROM sleeps ORDER BY created DESC, key LIMIT ?"
                gone += self._db.execute(f"DELETE FROM sleeps WHERE key NOT IN ({newest})", (rows,)).rowcount
        except sqlite3.Error as err:
            raise BadInput(f"cannot write the sleep store {self.file!r}: {err}") from err
        return gone

    def flight(self, key: str) -> asyncio.Lock:
        """Return the lock under which a key is looked up and filled, one for all stores on this file in this loop."""
        place = (str(Path(self.file).resolve()) if self.file != ":memory:" else str(id(self)), key)
        full = (*place, id(asyncio.get_running_loop()))
        lock = _FLIGHTS.get(full)
        if lock is None:
            lock = _FLIGHTS[full] = asyncio.Lock()
        return lock

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM sleeps").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _rows(self, query: str, value: str) -> list[Learned]:
        try:
            bodies = self._db.execute(query, (value,)).fetchall()
            return [_learned(json.loads(body)) for (body,) in bodies]
        except (sqlite3.Error, ValueError, KeyError, TypeError) as err:
            raise BadInput(f"cannot read the sleep store {self.file!r}: {err}") from err


def _learned(body: Mapping[str, Any]) -> Learned:
    return Learned(**{**body, "usage": Usage(**body["usage"])})
