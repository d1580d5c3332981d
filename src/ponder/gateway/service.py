"""One run for one request: its place in the queue, its grant, the run itself, and its bill, whatever ends it.

The client that hangs up, the deadline and a shutdown all end a run in the same way: the meter stops, what is in flight
is broken off and settled at what had come, and the run returns the best it has. So the account always learns what was
paid, and an answer that can be given is given.

Source: our own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ponder.core.budget import Budget
from ponder.core.candidate import Candidate
from ponder.core.errors import PonderError
from ponder.core.model import Request, Sampling
from ponder.core.result import Result
from ponder.core.solve import solve
from ponder.core.task import Task
from ponder.core.trace import Event, Trace
from ponder.core.usage import Usage
from ponder.gateway.account import Refused
from ponder.gateway.admission import Overloaded
from ponder.gateway.choice import Plan
from ponder.gateway.errors import ApiError, of, of_provider, of_stop
from ponder.gateway.exchange import Visitor
from ponder.gateway.gateway import Gateway, House
from ponder.gateway.ids import fresh_id
from ponder.gateway.relay import Listener
from ponder.gateway.settings import Key
from ponder.gateway.shaped import Shape, Shaped
from ponder.gateway.trace_book import TraceRecord

__all__ = ["TRACE_HEADER", "Ask", "Outcome", "Watcher", "answer", "usage_json"]

TRACE_HEADER = "x-ponder-trace"


class Watcher(Listener, Protocol):
    """Follows a run for a client that reads along."""

    def watch(self, event: Event) -> None:
        """Something happened."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request as its endpoint understood it.

    Attributes:
        plan: what answers it.
        key: whose it is.
        task: the question.
        shape: wishes for each answer.
        sampling: the law.
        budget: the client's own limits.
        deadline: seconds from its arrival, or None.
        seed: of the run.
        n: choices asked for.
        stored: use the response store.
        arrived: time on the monotonic clock.
        request: the body, for the trace.
        traceparent: header of that name.
    """

    plan: Plan
    key: Key
    task: Task
    shape: Shape
    sampling: Sampling
    budget: Budget
    deadline: float | None
    seed: int
    n: int = 1
    stored: bool = False
    arrived: float
    request: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it.

    Attributes:
        ask: the request.
        result: of the run.
        choices: what is answered, best first (in sample order for a pass-through).
        paid: cost by role.
        trace_id: names the run's record.
    """

    ask: Ask
    result: Result
    choices: tuple[Candidate, ...]
    paid: Mapping[str, Usage]
    trace_id: str

    @property
    def headers(self) -> dict[str, str]:
        """Of the reply."""
        return {TRACE_HEADER: self.trace_id}

    def about(self) -> dict[str, Any]:
        """Return what the reply says of the run beside the answer."""
        result = self.result
        return {
            "method": self.ask.plan.name,
            "model": self.ask.plan.line.serves,
            "answer": result.answer,
            "stopped": result.stopped,
            "detail": result.detail,
            "candidates": len(result.candidates),
            "seed": self.ask.seed,
            "trace": self.trace_id,
        }


def usage_json(paid: Mapping[str, Usage]) -> dict[str, Any]:
    """Return the usage of all calls, hidden ones included, in OpenAI's form with the details under `ponder`."""
    every = sum(paid.values(), Usage())
    return {
        "prompt_tokens": every.prompt_tokens,
        "completion_tokens": every.completion_tokens,
        "total_tokens": every.tokens,
        "prompt_tokens_details": {"cached_tokens": every.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": every.thinking_tokens},
        "ponder": {
            "calls": every.calls,
            "usd": every.usd,
            "exact": every.exact,
            "roles": {role: usage.to_json() for role, usage in paid.items()},
        },
    }


async def answer(
    gateway: Gateway,
    house: House,
    ask: Ask,
    visitor: Visitor,
    *,
    watcher: Watcher | None = None,
    opened: Callable[[str], None] | None = None,
) -> Outcome:
    """Run a request and return what came of it.

    Args:
        gateway: where.
        house: with which settings and models.
        ask: what.
        visitor: for whom; when it hangs up, the run ends.
        watcher: follows the run.
        opened: told the trace's id before anything else.

    Raises:
        ApiError: there is nothing to answer with; the error says why.
        PonderError: the same, not yet put in those terms.
    """
    trace = Trace(id=fresh_id())
    if watcher is not None:
        trace.watch(watcher.watch)
    if opened is not None:
        opened(trace.id)
    created = time.time() - (time.monotonic() - ask.arrived)
    result: Result | None = None
    status = 500
    with gateway.running() as run:
        visitor.when_gone(lambda: run.cancel(visitor.why))
        try:
            shaped, result = await _run(gateway, house, ask, visitor, trace, run, watcher)
            choices = _choices(result, ask)
            if not choices:
                raise _nothing(result, shaped, gateway)
            status = 200
            return Outcome(ask=ask, result=result, choices=choices, paid=run.paid, trace_id=trace.id)
        except (PonderError, ApiError) as err:
            told = of(err)
            assert told is not None
            told.headers.setdefault(TRACE_HEADER, trace.id)
            status = told.status
            _count_refusal(gateway, err)
            raise told from err
        finally:
            seconds = time.monotonic() - ask.arrived
            if gateway.metrics is not None:
                gateway.metrics.request(
                    key=ask.key.name,
                    method=ask.plan.name,
                    model=ask.plan.line.serves,
                    status=status,
                    seconds=seconds,
                    paid=run.paid,
                )
            if gateway.keeps_traces:
                record = TraceRecord(
                    id=trace.id,
                    created=created,
                    key=ask.key.name,
                    method=ask.plan.name,
                    model=ask.plan.line.serves,
                    status=status,
                    stopped="" if result is None else result.stopped,
                    seconds=seconds,
                    paid=run.paid,
                    request=ask.request,
                    result={} if result is None else result.to_json(),
                    events=trace.events,
                )
                gateway.note(record, traceparent=ask.traceparent)


async def _run(
    gateway: Gateway,
    house: House,
    ask: Ask,
    visitor: Visitor,
    trace: Trace,
    run: Any,
    watcher: Watcher | None,
) -> tuple[Shaped, Result]:
    plan = ask.plan
    async with AsyncExitStack() as stack:
        seconds = _left(ask, None)
        entering = stack.enter_async_context(gateway.admission.slot(ask.key.name))
        await visitor.until_gone(entering, seconds=seconds)
        shaped = Shaped(
            plan.line,
            ask.shape,
            ask.task.messages,
            listener=watcher,
            # Without a reader and a clock nobody needs the parts of an answer: it comes whole.
            streams=watcher is not None or ask.deadline is not None,
            alone=plan.alone or plan.single,
        )
        grant = await gateway.account.open(ask.key, _wanted(ask, house), least=_least(ask, house, shaped))
        try:
            seconds = _left(ask, grant.budget.seconds)
            result = await solve(
                ask.task,
                model=shaped,
                method=plan.method,
                verifier=plan.verifier,
                budget=grant.budget if seconds == grant.budget.seconds else replace(grant.budget, seconds=seconds),
                seed=ask.seed,
                sampling=ask.sampling,
                roles=house.lines.by_role,
                store=gateway.store_of(ask.key) if ask.stored else None,
                trace=trace,
                control=run,
            )
            return shaped, result
        finally:
            await grant.settle(run.paid)


def _left(ask: Ask, most: float | None) -> float | None:
    """Return the seconds that are left of the deadline, at most `most`.

    Raises:
        ApiError: none are.
    """
    if ask.deadline is None:
        return most
    left = ask.deadline - (time.monotonic() - ask.arrived)
    if left <= 0:
        raise of_stop("deadline", "all of it was spent before the run began")
    return left if most is None else min(left, most)


def _wanted(ask: Ask, house: House) -> Budget:
    """Return the client's budget, with the number of completions that one request may buy."""
    wanted = ask.budget
    if not ask.plan.single and not ask.plan.alone:
        most = house.settings.request.max_candidates
        wanted = replace(wanted, calls=most if wanted.calls is None else min(most, wanted.calls))
    if ask.deadline is not None:
        seconds = ask.deadline if wanted.seconds is None else min(ask.deadline, wanted.seconds)
        wanted = replace(wanted, seconds=seconds)
    return wanted


def _least(ask: Ask, house: House, shaped: Shaped) -> Budget | None:
    """Return the tokens below which not even one answer fits, where a limit of tokens holds for the key; else None."""
    limits = (ask.key.limits, house.settings.limits)
    if all(limit.tokens_per_day is None and limit.tokens_per_month is None for limit in limits):
        return None
    return Budget(tokens=shaped.count(Request(messages=ask.task.messages, sampling=ask.sampling)).tokens + 1)


def _choices(result: Result, ask: Ask) -> tuple[Candidate, ...]:
    """Return the answers to show: the chosen one first, then the next best."""
    usable = [candidate for candidate in result.candidates if candidate.ok]
    if ask.plan.single:
        return tuple(usable[: ask.n])
    chosen = result.candidate
    if chosen is None:
        if result.answer is not None:  # put together by the method, and none of the candidates
            from ponder.core.task import Message

            made = Candidate(index=0, message=Message("assistant", result.answer), answer=result.answer, finish="stop")
            return (made, *_ranked(usable)[: ask.n - 1])
        return tuple(_ranked(usable)[: ask.n])
    rest = [candidate for place, candidate in enumerate(result.candidates) if candidate.ok and place != result.chosen]
    return (chosen, *_ranked(rest)[: ask.n - 1])


def _ranked(candidates: list[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda c: (not c.complete, -_score(c), c.index))


def _score(candidate: Candidate) -> float:
    values = [score.value for score in candidate.scores.values() if score.value is not None]
    return values[-1] if values else float("-inf")


def _nothing(result: Result, shaped: Shaped, gateway: Gateway) -> ApiError:
    """Return why there is no answer."""
    if result.stopped in ("done", "endpoint", "agreement") and shaped.failure is not None:
        return of_provider(shaped.failure)
    if result.stopped == "cancelled" and gateway.draining:
        return ApiError(
            "the gateway is shutting down", status=503, kind="server_error", code="shutting_down", retry_after=1.0
        )
    return of_stop(result.stopped, result.detail)


def _count_refusal(gateway: Gateway, err: Exception) -> None:
    if isinstance(err, Overloaded):
        gateway.refused("overloaded")
    elif isinstance(err, Refused):
        gateway.refused("budget" if err.status == 402 else "rate")
