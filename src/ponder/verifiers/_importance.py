"""How much each step of a trace matters for an answer, by passes of a model that scores text.

Source: PIR of Xiao et al. 2025, arXiv:2505.19187 (LIMOPro, card 59): the answer's mean log-probability after all steps
minus that with one step left out, always against the whole trace ("removal").
Differs: "arrival" is ours: the gain when the step arrives, given only what stands before it. It cannot see that a later
step repeats an earlier one, and it reads each token of the trace once.
Cost: "removal" reads the trace once and then, for each functional step, what follows the step: the steps are taken from
the last to the first, so that a back-end that keeps the last prompts it read always has all that stands before. That
is about half of what passes from the start cost, and no way of leaving out can do with less: what follows a step has
other hidden states without it. "arrival" reads the trace once and the answer at most twice for each functional step.
Needs: `Access.SCORE`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

from ponder.core.access import Access
from ponder.core.context import Context
from ponder.core.errors import BadInput, BadReply, ConfigError, EndpointDown, Interrupted, ProviderError
from ponder.core.model import Completion, Request
from ponder.core.task import Task
from ponder.core.usage import Usage
from ponder.numerics.trace_pruning import importance
from ponder.numerics.trace_steps import without_conclusion
from ponder.verifiers._passes import metered_pass

__all__ = ["ROLE", "Importance", "Scoring", "Way", "step_importance"]

Way: TypeAlias = Literal["removal", "arrival"]
ROLE = "scorer"


@dataclass(frozen=True, kw_only=True)
class Scoring:
    r"""How answers are read after a trace.

    Attributes:
        way: "removal" or "arrival".
        open: what the assistant's turn begins with, before the trace ("<think>\n" for a model with such tags).
        lead: what stands between the trace and the answer.
        hide_conclusion: leave out the last sentence of the trace where it states the answer.
    """

    way: Way = "removal"
    open: str = ""
    lead: str = "\n\nThe answer is"
    hide_conclusion: bool = True

    def __post_init__(self) -> None:
        if self.way not in ("removal", "arrival"):
            raise ConfigError(f"way must be removal or arrival, got {self.way!r}")


@dataclass(frozen=True, kw_only=True)
class Importance:
    """What was found.

    Attributes:
        scores: of functional steps by place, nats, > 0 where the step helps; those that could not be read are left out.
        logprobs: of the answer's tokens after the whole trace; empty with "arrival".
        tokens: tokens that passes from the start would have read, and how many of them
        cached: the back-end had kept (0 where it does not say).
        problem: why scores are missing; empty where none is.
        ended: what ended the run meanwhile.
    """

    scores: dict[int, float] = field(default_factory=dict)
    logprobs: tuple[float, ...] = ()
    tokens: int = 0
    cached: int = 0
    problem: str = ""
    ended: Interrupted | None = None


async def step_importance(
    ctx: Context, task: Task, steps: Sequence[str], functional: Sequence[int], answer: str, scoring: Scoring
) -> Importance:
    """Score the functional steps of a trace for an answer, by the role "scorer" (the policy where there is none).

    Args:
        ctx: the run.
        task: what the trace is about; it is part of what the answer is read after.
        steps: of the trace.
        functional: places of the steps to score.
        answer: at least one token.
        scoring: how.

    Raises:
        AccessDenied: the model does not score text.
    """
    ctx.model(ROLE).require(Access.SCORE, what="the importance of steps")
    shown = without_conclusion(steps, answer) if scoring.hide_conclusion else list(steps)
    reader = _Reader(ctx, task, scoring, answer)
    scores: dict[int, float] = {}
    full: tuple[float, ...] = ()
    problem, ended = "", None
    try:
        if scoring.way == "removal":
            full = await reader.read(shown) if functional else ()
            for at in sorted(functional, reverse=True):
                scores[at] = importance(full, await reader.read([*shown[:at], *shown[at + 1 :]]))
        else:
            needed = sorted({at + more for at in functional for more in (0, 1)})
            after: dict[int, tuple[float, ...]] = {}
            for count in needed:
                after[count] = await reader.read(shown[:count])
                if count - 1 in after and count - 1 in functional:
                    scores[count - 1] = importance(after[count], after[count - 1])
    except Interrupted as why:
        problem, ended = str(why), why
    except EndpointDown:  # nothing more can be scored: the run ends
        raise
    except (BadInput, ProviderError) as err:
        problem = str(err)
    return Importance(
        scores=dict(sorted(scores.items())),
        logprobs=full,
        tokens=reader.tokens,
        cached=reader.cached,
        problem=problem,
        ended=ended,
    )


class _Reader:
    """Reads the answer after some steps, one pass at a time."""

    def __init__(self, ctx: Context, task: Task, scoring: Scoring, answer: str) -> None:
        self._ctx, self._task, self._scoring = ctx, task, scoring
        self._text = f" {answer.strip()}"
        self._model: Any = ctx.models.get(ROLE, ctx.models["policy"])
        self.tokens = self.cached = 0

    async def read(self, steps: Sequence[str]) -> tuple[float, ...]:
        prefix = self._scoring.open + "".join(steps).rstrip() + self._scoring.lead
        request = Request(messages=self._task.messages, prefix=prefix)
        whole = Request(messages=self._task.messages, prefix=prefix + self._text)
        tokens = self._model.count(whole).tokens
        done = await metered_pass(self._ctx, ROLE, self._model.info, tokens, partial(self._score, request))
        self.tokens += done.usage.prompt_tokens
        self.cached += 0 if done.sent is None else done.sent.cached_tokens
        logprobs = None if done.tokens is None else done.tokens.logprobs
        if not logprobs or not all(map(math.isfinite, logprobs)):
            raise BadReply(f"{self._model.name} gave no log-probabilities of the answer")
        return logprobs

    async def _score(self, request: Request) -> tuple[Completion, Usage | None]:
        done: Completion = await self._model.score(request, self._text)
        return done, done.sent
