"""Does once at the start what the first request would otherwise wait for: imports, plans, a run on a model of paper.

Source: our own. Cost: a fraction of a second of the start; no upstream is called, nothing is counted or kept.
"""

from __future__ import annotations

from contextlib import suppress

from ponder.core import registry
from ponder.core.errors import PonderError
from ponder.core.solve import solve
from ponder.core.task import Message, Task
from ponder.gateway.choice import PASS_THROUGH, Chooser
from ponder.gateway.errors import ApiError
from ponder.gateway.keys import ANYONE
from ponder.gateway.shaped import Shape, Shaped
from ponder.models.scripted import ScriptedModel

__all__ = ["warm"]

_TASK = Task(messages=(Message("user", "warm up"),))


async def warm(chooser: Chooser) -> None:
    """Make ready what requests to the chooser's models need."""
    for kind in (registry.strategies, registry.verifiers, registry.answer_types, registry.models):
        kind.load()
    chooser.usable()
    for serves in chooser.lines.by_model:
        for spelled in (serves, f"{PASS_THROUGH}@{serves}"):
            # What cannot be planned or run here is refused or reported when it is asked for.
            with suppress(ApiError, PonderError):
                plan = chooser.plan(spelled, None, key=ANYONE)
                shaped = Shaped(ScriptedModel(replies=("warm",)), Shape(), _TASK.messages)
                await solve(_TASK, model=shaped, method=plan.method, seed=0, budget="calls=4")
