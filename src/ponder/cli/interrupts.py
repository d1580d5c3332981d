"""What Ctrl-C does to a run: the first one ends it with the best answer so far, the second one at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ponder.core.solve import Control

__all__ = ["interruptible"]


@contextmanager
def interruptible(control: Control, told: Callable[[str], None]) -> Iterator[None]:
    """Let Ctrl-C stop the body, which runs in the current task.

    Args:
        control: of the run; the first Ctrl-C cancels it.
        told: called then with a line for the user.

    Raises:
        asyncio.CancelledError: from the body, after the second Ctrl-C.
    """
    import asyncio
    import signal

    loop, task, asked = asyncio.get_running_loop(), asyncio.current_task(), False

    def interrupt() -> None:
        nonlocal asked
        if asked and task is not None:
            task.cancel()
            return
        asked = True
        told("stopping; Ctrl-C again to abort")
        control.cancel("Ctrl-C")

    try:
        loop.add_signal_handler(signal.SIGINT, interrupt)
    except NotImplementedError:  # Windows: there the first Ctrl-C ends the run at once
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
