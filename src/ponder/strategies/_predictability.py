"""How likely a question is, given its context: what says whether thinking before it can pay.

Source: sleep-time compute, arXiv:2504.13171 (card 37): log P(question | context) under a language model; the sum over
tokens, and their mean, as the paper's normalisation is not known.
Cost: one pass over context and question. Needs: a model that scores text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput
from ponder.core.model import Request, Scorer
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.core.usage import Usage
from ponder.verifiers._passes import metered_pass

__all__ = ["Predictability", "Predicted", "log_prob_of"]


class Predicted(NamedTuple):
    """Log-probability of a question in nats, <= 0: of all its tokens, and the mean of one."""

    total: float
    mean: float


async def log_prob_of(ctx: Context, context: str, question: str, *, role: str = "policy") -> Predicted:
    """Read a question behind its context.

    Raises:
        AccessDenied: the model does not score text.
        BadInput: the question is empty.
        Interrupted: the budget does not admit the pass.
        ProviderError: the model failed.
    """
    ctx.model(role).require(Access.SCORE, what="predictability")
    model = ctx.models.get(role, ctx.models["policy"])
    before = f"{context}\n"
    tokens = model.count(Request(prompt=before + question)).tokens

    async def work() -> tuple[tuple[float, ...], Usage | None]:
        done = await cast(Scorer, model).score(Request(prompt=before), question)
        found = None if done.tokens is None else done.tokens.logprobs
        return found or (), done.sent

    found: tuple[float, ...] = await metered_pass(ctx, role, model.info, tokens, work)
    if not found:
        raise BadInput("the question has no tokens to score")
    return Predicted(sum(found), sum(found) / len(found))


@dataclass(frozen=True, kw_only=True)
class Predictability:
    """A method that answers nothing: its candidate's metadata hold "total" and "mean" of the task's question.

    The task's metadata hold "context" and "question".
    """

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": 1}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Score."""
        facts: Any = task.metadata
        found = await log_prob_of(ctx, facts["context"], facts["question"])
        message = Message("assistant", "")
        scored = Candidate(index=0, message=message, finish="stop", metadata=found._asdict())
        return ctx.result([scored], best=0)
