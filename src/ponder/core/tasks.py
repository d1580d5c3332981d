"""Structured concurrency: children start together, results come back in input order.

Source: our own convention (S18). A child returns its expected failures; what escapes leaves as one plain exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

__all__ = ["gather_all", "plain"]

T = TypeVar("T")


async def gather_all(thunks: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
    """Run all thunks concurrently and return their results in the order given.

    Raises:
        Exception: the first failure, as one plain exception; the siblings are cancelled.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(thunk()) for thunk in thunks]
    except BaseExceptionGroup as group_error:
        raise plain(group_error) from None
    return [task.result() for task in tasks]


def plain(error: BaseException) -> BaseException:
    """Return the first leaf of an exception group (nested ones too), or the error itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
