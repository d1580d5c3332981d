"""Ctrl-C: once cancels the run, twice its task."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from ponder.cli.interrupts import interruptible
from ponder.core.budget import Meter
from ponder.core.solve import Control

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="exempt: POSIX signals")


async def test_first_ctrl_c_cancels_the_run_and_second_the_task() -> None:
    meter, control, told = Meter(), Control(), []
    control.attach(meter)
    ended = asyncio.Event()

    def tell(line: str) -> None:
        told.append(line)
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)

    async def body() -> None:
        with interruptible(control, tell):
            os.kill(os.getpid(), signal.SIGINT)
            try:
                await asyncio.sleep(600)
            finally:
                ended.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(body())
        await ended.wait()
    assert task.cancelled()
    assert told == ["stopping; Ctrl-C again to abort"]
    assert meter.stopped is not None
    assert meter.stopped.reason == "cancelled"


async def test_handler_is_removed_afterwards() -> None:
    with interruptible(Control(), lambda line: None):
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
