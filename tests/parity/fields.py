"""The arrays of one case, which remember what has been read: a field that no test looks at would prove nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.parity.cases import arrays, folders

__all__ = ["Fields", "all_read", "cases_of", "names_of"]


class Fields(dict[str, Any]):
    """A case's arrays by name."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        super().__init__(arrays)
        self.unread = set(self)

    def __getitem__(self, name: str) -> Any:
        self.unread.discard(name)
        return super().__getitem__(name)

    def named(self, prefix: str) -> dict[str, Any]:
        """All arrays whose names start so, by the rest of the name."""
        return {name.removeprefix(prefix): self[name] for name in self if name.startswith(prefix)}


@contextmanager
def all_read(case: Mapping[str, Any], *, others: tuple[str, ...] = ()) -> Iterator[Fields]:
    """Give a case's arrays; when done, all must have been read, but for names that start with one of `others`."""
    fields = Fields(case)
    yield fields
    unread = sorted(name for name in fields.unread if not name.startswith(others or ("\0",)))
    assert not unread, f"no test reads {unread}"


def names_of(card: str) -> list[str]:
    """Names of all cases of a card, and of the files that nothing here reads; arrays without a case have no name."""
    names = [name for file in _files(card) for name in arrays(file)]
    found = [path.name for folder in folders(card) for path in folder.iterdir() if not path.name.startswith(".")]
    return [*names, *(name for name in found if name != "README.md" and not name.endswith(".npz"))]


def cases_of(card: str, *prefixes: str) -> list[Any]:
    """The card's cases whose names start so, as pytest parameters; skipped where the chosen fixtures have none."""
    found = [case for file in _files(card) for case in arrays(file).items()]
    own = [pytest.param(value, id=name) for name, value in found if name.startswith(prefixes)]
    return own or [pytest.param(None, marks=pytest.mark.skip(reason="exempt: no such cases in PONDER_FIXTURES"))]


def _files(card: str) -> list[Path]:
    return sorted(path for folder in folders(card) for path in folder.glob("*.npz"))
