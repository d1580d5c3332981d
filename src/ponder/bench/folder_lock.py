"""One writer for a folder: two would tear each other's lines. A killed process holds no lock.

Source: our own. Cost: no model call. Needs: nothing beyond the base install; on Windows nobody watches.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from ponder.core.errors import BadInput

__all__ = ["lock"]


def lock(folder: Path) -> IO[bytes]:
    """Keep other processes out of a folder until the file that is returned is closed.

    Raises:
        BadInput: another process writes there.
    """
    file = open(folder / ".lock", "wb")  # noqa: SIM115 - held for the life of the folder
    try:
        import fcntl
    except ModuleNotFoundError:
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise BadInput(f"another process is writing to {str(folder)!r}") from None
    return file
