"""Which nodes of a graph run together, so that under a budget no order of replies decides which calls are admitted.

Source: our own (DESIGN, principles 1 and 4). Where all that is left of a graph fits even at its dearest, each node
starts when those it needs are done. Else ready nodes run in waves: the longest run of them, in the plan's order, that
fits together at its dearest, and at least one.
Cost: none of its own.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ponder.core.budget import ADDITIVE, Need, Unit
from ponder.core.context import Context
from ponder.core.tasks import gather_all, plain
from ponder.engines.asking import Outcome

__all__ = ["Claim", "fits", "freely", "in_waves", "limits"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a node can cost at most.

    Attributes:
        calls: >= 0.
        completion: most completion tokens of a call.
        prompt: most prompt tokens of a call; None where that is not known (then the model's context bounds it).
        role: of the model.
    """

    calls: int
    completion: int
    prompt: int | None = None
    role: str = "policy"


async def freely(needed: Sequence[Sequence[int]], step: Callable[[int], Coroutine[Any, Any, Outcome]]) -> None:
    """Start each node when the last of those it depends on is done.

    A task that has done a node goes on with the first of those that it made ready, so a chain is one task.
    """
    waiting = [len(set(earlier)) for earlier in needed]
    followers: list[list[int]] = [[] for _ in needed]
    for at, earlier in enumerate(needed):
        for k in set(earlier):
            followers[k].append(at)
    ended = False

    async def follow(at: int, group: asyncio.TaskGroup) -> None:
        nonlocal ended
        while True:
            ended |= (await step(at)).ended is not None
            ready = []
            for later in followers[at]:
                waiting[later] -= 1
                if waiting[later] == 0:
                    ready.append(later)
            if ended or not ready:
                return
            at, *others = ready
            for other in others:
                group.create_task(follow(other, group))

    try:
        async with asyncio.TaskGroup() as group:
            for at in [at for at, count in enumerate(waiting) if count == 0]:
                group.create_task(follow(at, group))
    except BaseExceptionGroup as error:
        raise plain(error) from None


async def in_waves(
    needed: Sequence[Sequence[int]],
    done: Mapping[int, Outcome],
    step: Callable[..., Coroutine[Any, Any, Outcome]],
    fitting: Callable[[Sequence[int]], int],
) -> None:
    """Start the longest run of ready nodes, in the plan's order, that fits together; wait for all of it; go on."""
    while len(done) < len(needed):
        ready = [at for at, earlier in enumerate(needed) if at not in done and all(k in done for k in earlier)]
        count = fitting(ready)
        # A single node is not sure of what it asks for, and decides for itself in what order to ask.
        together = [partial(step, at, sure=count > 1) for at in ready[:count]]
        if any(outcome.ended is not None for outcome in await gather_all(together)):
            return


def limits(ctx: Context) -> list[Unit]:
    """Return the units that are limited, here or above."""
    return [unit for unit in ADDITIVE if ctx.meter.left(unit) != math.inf]


def fits(ctx: Context, claims: Sequence[Claim | None], keep: int) -> bool:
    """Return whether all of these fit what is left even at their dearest; an unknown cost fits no limit."""
    for unit in limits(ctx):
        left = ctx.meter.left(unit)
        wanted = float(keep) if unit == "calls" else 0.0
        for claim in claims:
            most = None if claim is None else _dearest(ctx, claim, unit)
            if most is None:
                return False
            wanted += most
        if wanted > left:
            return False
    return True


def _dearest(ctx: Context, claim: Claim, unit: Unit) -> float | None:
    """Return what a claim comes to in a unit, or None where nothing bounds it."""
    info = ctx.model(claim.role).info
    prompt = claim.prompt if claim.prompt is not None else info.context
    if prompt is None and unit not in ("calls", "completion_tokens"):
        return None
    need = Need(prompt=prompt or 0, completion=max(1, claim.completion), info=info)
    return claim.calls * need.amount(unit, need.completion)
