"""The answers to one problem in memory, before the response store: a curve reads each of them many times.

Source: our own. Cost: no model call. Needs: a response store, which keeps every answer as it comes.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from ponder.core.model import Completion, ModelInfo
from ponder.core.store import Store, cut

__all__ = ["Answers", "Kept", "Outbox", "ReadOnly"]


class Answers(Store):
    """A store that remembers what passed through it; used while one problem runs, then dropped.

    Args:
        base: keeps the answers for good; it stays open.
    """

    def __init__(self, base: Store) -> None:
        self.file, self._base = base.file, base
        self._seen: dict[str, Completion] = {}

    @property
    def error(self) -> str | None:  # type: ignore[override]  # the base's, which may come at any time
        """Why answers are no longer kept."""
        return self._base.error

    def get(self, key: str, max_tokens: int) -> Completion | None:
        """Return the stored reply as `max_tokens` would have cut it, or None where it cannot be known."""
        known = self._seen.get(key)
        if known is not None:
            length = known.usage.completion_tokens
            if length > max_tokens:
                return cut(known, max_tokens)
            if length == max_tokens or known.finish != "length":
                return known
        found = self._base.get(key, max_tokens)
        if found is not None and found.finish != "length":  # a cut one may be stored at a greater length
            self._seen[key] = found
        return found

    def put(self, key: str, info: ModelInfo, completion: Completion) -> None:
        """Keep a reply; of two cut ones the longer stays."""
        self._remember(key, completion)
        self._base.put(key, info, completion)

    def _remember(self, key: str, completion: Completion) -> None:
        if completion.finish == "cancelled":
            return
        known = self._seen.get(key)
        length = completion.usage.completion_tokens
        whole = completion.finish != "length"
        if known is None or (known.finish == "length" and (whole or length > known.usage.completion_tokens)):
            self._seen[key] = completion

    def claim(self, key: str) -> bool:
        """Return whether this call may be made: False while an equal one is in flight."""
        return self._base.claim(key)

    async def wait(self, key: str) -> None:
        """Wait until no call for `key` is in flight."""
        await self._base.wait(key)

    def release(self, key: str) -> None:
        """End the flight of `key`."""
        self._base.release(key)

    def mean_length(self, info: ModelInfo) -> tuple[float, int] | None:
        """Return the mean length and the number of stored replies of a model, or None."""
        return self._base.mean_length(info)

    def __len__(self) -> int:
        return len(self._base)

    def close(self) -> None:
        """Drop what is remembered."""
        self._seen.clear()


class Kept(NamedTuple):
    """An answer on its way to the store of another process."""

    key: str
    fingerprint: str
    completion: Completion


class Outbox(Answers):
    """Answers that are sent on to whoever writes the store, not written here.

    Attributes:
        new: what came since it was made.
    """

    def __init__(self, base: Store) -> None:
        super().__init__(base)
        self.new: list[Kept] = []

    def put(self, key: str, info: ModelInfo, completion: Completion) -> None:
        """Remember a reply and note it to be sent on."""
        self._remember(key, completion)
        if completion.finish != "cancelled":
            self.new.append(Kept(key, info.fingerprint, completion))


class ReadOnly(Store):
    """The store of another process, to look answers up in; empty where its file cannot be seen from here."""

    def __init__(self, file: Path | str) -> None:
        super().__init__()
        try:
            there = sqlite3.connect(f"{Path(file).absolute().as_uri()}?mode=ro", uri=True, timeout=30)
            there.execute("SELECT count(*) FROM meta").fetchone()
        except (sqlite3.Error, ValueError):
            return
        self._db.close()
        self.file, self._db = str(file), there

    def put(self, key: str, info: ModelInfo, completion: Completion) -> None:
        """Nothing is written here."""
