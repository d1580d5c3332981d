"""Passes of a model over given text under the meter of a run: admitted, settled and traced like any other call.

Source: our own (DESIGN, principles 1 and 3). The metered proxy samples; what only reads goes through here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ponder.core.budget import Need
from ponder.core.context import Context
from ponder.core.model import ModelInfo
from ponder.core.usage import Usage

__all__ = ["metered_pass"]

T = TypeVar("T")


async def metered_pass(
    ctx: Context, role: str, info: ModelInfo, tokens: int, work: Callable[[], Awaitable[tuple[T, Usage | None]]]
) -> T:
    """Await `work()`, which reads `tokens` tokens, once the budget admits it; it counts as one call.

    Args:
        ctx: the run.
        role: under which the cost is booked.
        info: of the model that reads.
        tokens: what is read, exactly.
        work: makes the pass; returns its outcome, and what was really paid where that is known to be less.

    Raises:
        Interrupted: the budget does not admit it.
    """
    ticket = ctx.meter.ticket(role)
    decided = asyncio.Event()
    try:
        # A need writes at least one token; the pass is settled without it.
        ticket.ask(Need(prompt=tokens, completion=1, info=info), decided.set)
        await decided.wait()
    finally:
        ticket.close()
    if ticket.refusal is not None:
        raise ticket.refusal
    held = ticket.reservation
    assert held is not None
    usage = info.price(Usage(calls=1, prompt_tokens=tokens))
    try:
        done, paid = await work()
        held.settle(usage, paid=None if paid is None else info.price(paid))
        ctx.trace.instant("read", ctx.span, role=role, usage=usage.to_json())
        return done
    finally:
        held.close()
