"""The response store: each answer of a model is paid for once.

Key: the model's fingerprint and everything that fixes the law and the draw (rendered request, sampler, seed of the
sibling), but not `max_tokens`: a smaller cap is served by cutting a stored answer at its tokens, a larger one only
from an answer that ended by itself. Two identical calls in flight are made once (single flight). One SQLite file;
each answer is committed when it arrives, so a killed run resumes without paying twice.
Source: our own (DESIGN §4).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

from ponder.core.errors import BadInput
from ponder.core.model import Completion, ModelInfo, Request
from ponder.core.task import Message

__all__ = ["SCHEMA", "Store", "cut"]

SCHEMA = 1
logger = logging.getLogger(__name__)


class Store:
    """Stored completions in one SQLite file (`:memory:` for none on disk). Use it from one event loop.

    Raises:
        BadInput: the file cannot be opened, is no store, or is of another version.
    """

    def __init__(self, file: Path | str = ":memory:") -> None:
        self.file = str(file)
        self.error: str | None = None
        self._flights: dict[str, asyncio.Future[None]] = {}
        try:
            if self.file != ":memory:":
                Path(file).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.file, timeout=30, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS completions (key TEXT PRIMARY KEY, model TEXT NOT NULL,"
                " finished INTEGER NOT NULL, length INTEGER NOT NULL, created REAL NOT NULL, body TEXT NOT NULL)"
                " WITHOUT ROWID"
            )
            self._db.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (str(SCHEMA),))
            (version,) = self._db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
        except (sqlite3.Error, OSError) as err:
            raise BadInput(f"cannot use the response store {self.file!r}: {err}") from err
        if version != str(SCHEMA):
            raise BadInput(f"the response store {self.file!r} has schema {version}, this ponder reads {SCHEMA}")

    @staticmethod
    def key(info: ModelInfo, request: Request) -> str:
        """Return the key of the reply to sibling 0 of `request`."""
        identity = request.identity()
        if request.sampling.temperature == 0:
            identity["seed"] = 0  # a greedy answer does not depend on it
        text = json.dumps([info.fingerprint, identity], sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def get(self, key: str, max_tokens: int) -> Completion | None:
        """Return the stored reply as `max_tokens` would have cut it, or None where it cannot be known."""
        try:
            row = self._db.execute("SELECT finished, length, body FROM completions WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as err:
            self._lost("read", err)
            return None
        if row is None:
            return None
        finished, length, body = row
        if length < max_tokens and not finished:
            return None
        completion = Completion.from_json(json.loads(body))
        return completion if length <= max_tokens else cut(completion, max_tokens)

    def put(self, key: str, info: ModelInfo, completion: Completion) -> None:
        """Keep a reply; of two cut ones the longer stays. A store that cannot be written warns and goes on."""
        if completion.finish == "cancelled" or self.error is not None:
            return
        finished, length = completion.finish != "length", completion.usage.completion_tokens
        try:
            self._db.execute(
                "INSERT INTO completions VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
                " finished = excluded.finished, length = excluded.length, created = excluded.created,"
                " body = excluded.body WHERE completions.finished = 0 AND (excluded.finished OR"
                " excluded.length > completions.length)",
                (key, info.fingerprint, int(finished), length, time.time(), json.dumps(completion.to_json())),
            )
        except sqlite3.Error as err:
            self._lost("written", err)

    def _lost(self, what: str, err: sqlite3.Error) -> None:
        if self.error is None:
            self.error = f"the response store {self.file!r} cannot be {what} ({err}); answers are no longer kept"
            logger.warning("%s", self.error)

    def claim(self, key: str) -> bool:
        """Return whether this call may be made: False while an equal one is in flight (then `wait` for it).

        A claim must be given back with `release`.
        """
        if key in self._flights:
            return False
        self._flights[key] = asyncio.get_running_loop().create_future()
        return True

    async def wait(self, key: str) -> None:
        """Wait until no call for `key` is in flight."""
        flight = self._flights.get(key)
        if flight is not None:
            await asyncio.shield(flight)

    def release(self, key: str) -> None:
        """End the flight of `key`."""
        flight = self._flights.pop(key, None)
        if flight is not None and not flight.done():
            flight.set_result(None)

    def mean_length(self, info: ModelInfo) -> tuple[float, int] | None:
        """Return the mean length in completion tokens and the number of stored replies of a model, or None."""
        mean, count = self._db.execute(
            "SELECT avg(length), count(*) FROM completions WHERE model = ?", (info.fingerprint,)
        ).fetchone()
        return (mean, count) if count else None

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM completions").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def cut(completion: Completion, max_tokens: int) -> Completion | None:
    """Return `completion` as a cap of `max_tokens` would have left it; None where its tokens are not known."""
    tokens = completion.tokens
    if tokens is None or len(tokens.ids) < max_tokens or completion.message.reasoning is not None:
        return None  # tokens of thinking spell no answer
    head = tokens.head(max_tokens)
    return replace(
        completion,
        message=Message("assistant", "".join(head.texts)),
        finish="length",
        stop=None,
        tokens=head,
        usage=replace(completion.usage, completion_tokens=max_tokens, usd=None, flops=None),
        certainty=None if completion.certainty is None else completion.certainty[:max_tokens],
        sent=None,
    )
