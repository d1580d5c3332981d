"""Reading back JSON lines of records that a training step wrote.

Source: our own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ponder.core.errors import BadInput

__all__ = ["read_records", "tupled"]

T = TypeVar("T")


def read_records(file: Path, build: Callable[[Mapping[str, Any]], T], what: str) -> list[T]:
    """Return the records of a file, one a line.

    Raises:
        BadInput: the file cannot be read, or holds something else.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return [build(json.loads(line)) for line in lines if line.strip()]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise BadInput(f"{file} holds no {what}: {err}") from err


def tupled(value: Any) -> Any:
    """Return a list as a tuple, and anything else as it is."""
    return tuple(value) if isinstance(value, list) else value
