"""What tests of judges share: a run with a scripted judge, and candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ponder import Budget, Candidate, Context, Message, Meter, Request, Score, ScriptedModel, Task
from ponder.core.trace import Trace

Reply = Callable[[Request, int], Any]

TASK = Task.of("Which is the best?")


def candidates(*texts: str) -> list[Candidate]:
    return [Candidate(index=i, message=Message("assistant", text), finish="stop") for i, text in enumerate(texts)]


def desk(replies: Any, budget: Budget | None = None, **options: Any) -> Context:
    judge = ScriptedModel(replies=replies, name="judge", **options)
    models = {"policy": ScriptedModel(), "judge": judge}
    return Context(models=models, meter=Meter(budget), trace=Trace(), method="test")


def judge_of(ctx: Context) -> ScriptedModel:
    model = ctx.models["judge"]
    assert isinstance(model, ScriptedModel)
    return model


async def judged(verifier: Any, ctx: Context, *texts: str, task: Task = TASK) -> list[Score]:
    found: list[Score] = await verifier.score(task, candidates(*texts), ctx)
    assert ctx.meter.in_flight == 0
    assert set(ctx.meter.nominal) <= {"judge"}
    return found


def shown(request: Request) -> tuple[str, str]:
    """The two answers of a pairwise prompt, in the order shown."""
    text = request.messages[-1].text
    first = text.split("<answer_a>\n")[1].split("\n</answer_a>")[0]
    second = text.split("<answer_b>\n")[1].split("\n</answer_b>")[0]
    return first, second


def longer_wins(request: Request, number: int) -> str:
    """A fair judge: the longer answer is better, equal ones tie."""
    first, second = map(len, shown(request))
    return "Reasons. " + ("[[A]]" if first > second else "[[B]]" if second > first else "[[C]]")
