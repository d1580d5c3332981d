"""The gateway's response store: answers that are paid for once, for a time, and for one key.

Off unless the settings name a file, and used only by requests that ask for it. An answer older than the time to live is
not served and is deleted. Each key has a drawer of its own, so that nobody learns what others ask from the time that an
answer takes; `shared` opens one drawer to all. With the file ":memory:" no text is written anywhere.

Source: our own (DESIGN §4), on `ponder.core.store`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from ponder.core.model import Completion, ModelInfo
from ponder.core.store import Store

__all__ = ["Answers", "Drawer"]

_SWEEP = 60.0  # seconds between two deletions of what is too old


class Answers(Store):
    """Stored completions with a time to live.

    Args:
        file: SQLite file, or ":memory:".
        hours: time to live, > 0; None keeps them for ever.
        clock: seconds since 1970.

    Raises:
        BadInput: the file cannot be used.
    """

    def __init__(
        self, file: Path | str = ":memory:", *, hours: float | None = 24.0, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(file)
        self.hours, self.clock, self._swept = hours, clock, float("-inf")

    def get(self, key: str, max_tokens: int) -> Completion | None:
        """Return the stored reply as `max_tokens` would have cut it, or None where it is too old or not known."""
        if self.hours is not None:
            self._forget(self.clock() - 3600 * self.hours, key)
        return super().get(key, max_tokens)

    def _forget(self, before: float, key: str) -> None:
        every = self.clock() - self._swept >= _SWEEP
        try:
            if every:
                self._swept = self.clock()
                self._db.execute("DELETE FROM completions WHERE created < ?", (before,))
            else:
                self._db.execute("DELETE FROM completions WHERE key = ? AND created < ?", (key, before))
        except sqlite3.Error as err:
            self._lost("written", err)


class Drawer(Store):
    """One client's part of a store: the same calls, under keys that only it can name.

    Args:
        store: the whole.
        owner: whose drawer.
    """

    def __init__(self, store: Store, owner: str) -> None:
        self._store, self._owner = store, owner
        self.file = store.file

    def _mine(self, key: str) -> str:
        return f"{self._owner}|{key}"

    def get(self, key: str, max_tokens: int) -> Completion | None:
        """Return the owner's stored reply, or None."""
        return self._store.get(self._mine(key), max_tokens)

    def put(self, key: str, info: ModelInfo, completion: Completion) -> None:
        """Keep a reply for the owner."""
        self._store.put(self._mine(key), info, completion)

    def claim(self, key: str) -> bool:
        """Return whether this call may be made: False while an equal one of the owner is in flight."""
        return self._store.claim(self._mine(key))

    async def wait(self, key: str) -> None:
        """Wait until no call of the owner for `key` is in flight."""
        await self._store.wait(self._mine(key))

    def release(self, key: str) -> None:
        """End the flight of `key`."""
        self._store.release(self._mine(key))

    def mean_length(self, info: ModelInfo) -> tuple[float, int] | None:
        """Return None: lengths of others' answers are not told."""
        return None

    def __len__(self) -> int:
        return len(self._store)

    def close(self) -> None:
        """Nothing: the store is the gateway's."""
