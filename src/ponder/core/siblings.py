"""Siblings on their way: from a ticket for each, in sample order, to what became of it.

Each sibling of a request is admitted (whole, clipped, or not at all), looked up in the response store, sent (admitted
siblings together where the back-end takes `n`), and settled once, whatever happens. A decision that ends the sampling
early sees the siblings in index order, never in the order of arrival, and what was sent beyond it is paid but not
counted as nominal usage.

Source: our own (DESIGN, principles 1, 3 and 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from ponder.core.access import Access
from ponder.core.budget import Meter, Need, Reservation
from ponder.core.errors import (
    BadInput,
    BadReply,
    EndpointDown,
    Interrupted,
    ProviderError,
    RateLimited,
    RequestRefused,
)
from ponder.core.model import Completion, Model, Request
from ponder.core.seeds import sample_seed
from ponder.core.store import Store
from ponder.core.task import Message
from ponder.core.trace import Trace
from ponder.core.usage import Usage

__all__ = ["Draw", "Progress", "Run", "Siblings", "Until"]

# Most siblings in one request: what a broken connection or a killed process can lose at once.
_TOGETHER = 32
# Errors that come before the provider did any work; after others the cost is unknown and counted in full.
_UNBILLED = (RateLimited, RequestRefused, EndpointDown)


@dataclass(frozen=True, slots=True)
class Draw:
    """What became of one sibling: a completion, a failure, or an end of the run (possibly with a partial completion).

    Attributes:
        index: sibling number, counted from `first`.
        usage: nominal cost.
        completion: the answer; with `interrupted` the part of it that had come.
        error: the failure.
        interrupted: why it was not admitted or was broken off.
        again: this run had drawn it before (`Context.memory`), and its cost was counted there.
    """

    index: int
    usage: Usage
    completion: Completion | None = None
    error: ProviderError | None = None
    interrupted: Interrupted | None = None
    again: bool = False


T = TypeVar("T")
Until = Callable[[Sequence[Draw]], Awaitable[bool]]
Progress = Callable[[int, str, int], None]


class Run(Protocol):
    """What a call is made under: the part of a `Context` that the proxy uses (described there)."""

    meter: Meter
    trace: Trace
    span: int
    seed: int
    store: Store | None
    memory: Store | None
    minimum: int
    progress: Progress | None


class _NotSent(Interrupted):
    """The run ended between admission and sending: the call cost nothing."""


@dataclass(eq=False)
class _Sending:
    """One sibling that was admitted and is on its way."""

    index: int
    reservation: Reservation
    key: str | None
    span: int
    text: str = ""
    claimed: bool = False

    def goes_with(self, other: _Sending) -> bool:
        """Whether `other` can be the next sibling in the same request: the next seed, the same cap."""
        return self.index + 1 == other.index and self.reservation.completion == other.reservation.completion


class Siblings:
    """The siblings of one request on their way."""

    def __init__(
        self,
        model: Model,
        role: str,
        context: Run,
        request: Request,
        path: Sequence[str | int],
        first: int,
        until: Until | None,
    ) -> None:
        self.model, self.role, self.context, self.until, self.first = model, role, context, until, first
        # Tickets come before anything that could wait: their order is the sample order.
        self.tickets = [context.meter.ticket(role) for _ in range(request.n)]
        self.path = path
        self.request = replace(request, n=1, seed=sample_seed(context.seed, first, *path), index=first)
        self.draws: list[Draw | None] = [None] * request.n
        self.changed = asyncio.Event()
        self.together = Access.N in model.access
        self.tasks: list[asyncio.Task[None]] = []
        self.launched = 0
        self.unsent: dict[int, _Sending] = {}  # looked up, not yet sent

    async def run(self) -> list[Draw]:
        """Send everything that is admitted and return what became of it."""
        seen = 0
        try:
            need = self._need()
            if len(self.tickets) == 1 and self.until is None and self.context.store is None:
                return [await self._alone(need)]
            async with asyncio.TaskGroup() as group:
                for ticket in self.tickets:
                    ticket.ask(need, self.changed.set)
                while True:
                    self._launch(group)
                    while seen < len(self.draws) and (draw := self.draws[seen]) is not None:
                        seen += 1
                        if self.until is not None:
                            if not draw.again:
                                self.context.meter.book(self.role, draw.usage)
                            if await self._decide(group, self.until, seen):
                                for task in self.tasks:
                                    task.cancel()
                                return [d for d in self.draws[:seen] if d is not None]
                    if seen == len(self.draws):
                        return [d for d in self.draws if d is not None]
                    await self.changed.wait()
                    self.changed.clear()
        finally:
            for ticket in self.tickets:
                ticket.close()
            self._give_back()

    async def _alone(self, need: Need) -> Draw:
        """Send one sibling that no decision and no equal call can touch, in the caller's own task."""
        (ticket,) = self.tickets
        ticket.ask(need, self.changed.set)
        if not ticket.decided:
            await self.changed.wait()
        self.launched = 1
        if ticket.reservation is None:
            return Draw(self.first, Usage(), interrupted=ticket.refusal)
        if (sending := self._look_up(None, 0, ticket.reservation)) is not None:
            await self._send([sending])
        (draw,) = self.draws
        assert draw is not None
        return draw

    async def _decide(self, group: asyncio.TaskGroup, until: Until, seen: int) -> bool:
        """Ask `until`. It may call models itself, and their tickets stand behind ours: so ours must go on meanwhile."""
        launcher = group.create_task(self._keep_launching(group))
        try:
            return await until([draw for draw in self.draws[:seen] if draw is not None])
        finally:
            launcher.cancel()

    async def _keep_launching(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self.changed.wait()
            self.changed.clear()
            self._launch(group)

    def _give_back(self) -> None:
        """Settle what was admitted and never sent: a decision or a cancellation came first."""
        for sending in self.unsent.values():
            if sending.claimed and sending.key is not None and self.context.store is not None:
                self.context.store.release(sending.key)
            self._close(sending, finish="cancelled", text="")
        for ticket in self.tickets:
            if ticket.reservation is not None:
                ticket.reservation.settle(Usage(), book=False)

    def _need(self) -> Need:
        """State what one sibling costs at most.

        Raises:
            BadInput: the prompt leaves no room for an answer.
        """
        prompt, exact = self.model.count(self.request)
        most = self.request.sampling.max_tokens
        context = self.model.info.context
        if context is not None and prompt >= context and exact:
            raise BadInput(f"the prompt has {prompt} tokens, and {self.model.name} takes {context} in all")
        if context is not None and exact:
            most = min(most, context - prompt)
        minimum = min(self.context.minimum, most)
        return Need(prompt=prompt, completion=most, minimum=minimum, info=self.model.info)

    def _launch(self, group: asyncio.TaskGroup) -> None:
        """Send the tickets decided since the last time."""
        batch: list[_Sending] = []
        while self.launched < len(self.tickets) and self.tickets[self.launched].decided:
            index = self.launched
            self.launched += 1
            ticket = self.tickets[index]
            if ticket.reservation is None:
                self.draws[index] = Draw(self.first + index, Usage(), interrupted=ticket.refusal)
            elif (sending := self._look_up(group, index, ticket.reservation)) is not None:
                full = len(batch) == (_TOGETHER if self.together else 1)
                if full or (batch and not batch[-1].goes_with(sending)):
                    self._start(group, batch)
                    batch = []
                batch.append(sending)
        if batch:
            self._start(group, batch)

    def _look_up(self, group: asyncio.TaskGroup | None, index: int, reservation: Reservation) -> _Sending | None:
        """Serve a sibling from what is kept, or return it ready to be sent (or let it wait for an equal call).

        Args:
            group: for the wait; needed where there is a store.
            index: of the sibling.
            reservation: of its call.
        """
        store, memory = self.context.store, self.context.memory
        if store is None and memory is None:
            self.unsent[index] = sending = _Sending(index, reservation, None, self._open(index, reservation))
            return sending
        key = Store.key(self.model.info, self.request.sibling(index))
        sending = _Sending(index, reservation, key, self._open(index, reservation))
        if memory is not None and (known := memory.get(key, reservation.completion)) is not None:
            self._recall(sending, known)
            return None
        if store is not None and (stored := store.get(key, reservation.completion)) is not None:
            self._finish(sending, stored, paid=Usage())
            return None
        self.unsent[index] = sending
        if store is None:
            return sending
        sending.claimed = store.claim(key)
        if sending.claimed:
            return sending
        assert group is not None
        self.tasks.append(group.create_task(self._follow(sending)))
        return None

    def _start(self, group: asyncio.TaskGroup, batch: list[_Sending]) -> None:
        self.tasks.append(group.create_task(self._send(batch)))

    async def _follow(self, sending: _Sending) -> None:
        """Wait for an equal call in flight and take its answer; where that failed, make the call."""
        store, key = self.context.store, sending.key
        assert store is not None
        assert key is not None
        try:
            while not sending.claimed:
                await self._stoppable(lambda: store.wait(key))
                # Looked up before the claim: the other call may have ended before this task began.
                stored = store.get(key, sending.reservation.completion)
                if stored is not None:
                    self._finish(sending, stored, paid=Usage())
                    return
                sending.claimed = store.claim(key)
        except Interrupted as why:
            self._break(sending, _NotSent(str(why), reason=why.reason))
            return
        await self._send([sending])

    async def _send(self, batch: list[_Sending]) -> None:
        """Make one request for siblings of consecutive indices and settle each of them."""
        head = batch[0]
        for sending in batch:
            del self.unsent[sending.index]
        request = self.request.siblings(head.index, len(batch))
        if head.reservation.completion != request.sampling.max_tokens:
            sampling = replace(request.sampling, max_tokens=head.reservation.completion)
            request = replace(request, sampling=sampling)
        sink = _Sink(self, batch)
        try:
            completions = await self._stoppable(lambda: self.model.generate(request, sink))
            if len(completions) != len(batch):
                raise BadReply(f"{self.model.name} returned {len(completions)} answers to {len(batch)} siblings")
            for sending, completion in zip(batch, completions, strict=True):
                self._finish(sending, completion)
        except ProviderError as err:
            spent = err.spent  # of the whole request: booked with the first sibling that it left open
            for sending in batch:
                if self.draws[sending.index] is None:
                    self._fail(sending, err, None if err.spent is None else spent or Usage(calls=1))
                    spent = None
            if isinstance(err, EndpointDown):
                self.context.meter.root.stop(Interrupted(f"the endpoint is gone: {err}", reason="endpoint"))
        except Interrupted as why:
            for sending in batch:
                self._break(sending, why)
        finally:
            for sending in batch:  # only what a cancellation or a fault in the back-end left open
                if sending.reservation.open:
                    sending.reservation.close(book=self.until is None)
                    self._close(sending, finish="cancelled", text=sending.text)
                if sending.key is not None and self.context.store is not None:
                    self.context.store.release(sending.key)
            self.changed.set()

    async def _stoppable(self, call: Callable[[], Awaitable[T]]) -> T:
        """Await a call of the back-end or of the store; when the meter stops, cancel it.

        Raises:
            Interrupted: the reason of the stop.
        """
        if (reason := self.context.meter.reason()) is not None:
            raise _NotSent(str(reason), reason=reason.reason)
        loop = asyncio.get_running_loop()
        reasons: list[Interrupted] = []
        scope = asyncio.timeout(None)

        def stop(why: Interrupted) -> None:
            if not reasons:  # a second stop, of a meter above, finds the call being broken off
                scope.reschedule(loop.time())
            reasons.append(why)

        try:
            async with scope:
                with self.context.meter.listening(stop):
                    return await call()
        except TimeoutError:
            if reasons and scope.expired():
                raise reasons[0] from None
            raise

    # -- what becomes of a sibling ---------------------------------------------------------------------------------

    def _finish(self, sending: _Sending, completion: Completion, paid: Usage | None = None) -> None:
        if self.draws[sending.index] is not None:
            return  # reported through the sink already
        info, store = self.model.info, self.context.store
        reported = completion.usage
        if reported.calls != 1:
            reported = replace(reported, calls=1)
        if self.request.thinking:
            reported = replace(reported, thinking_tokens=reported.completion_tokens)
        # What a prefix cache served, and its discount, depend on what ran before: they belong to what was paid.
        usage = info.price(replace(reported, cached_tokens=0) if reported.cached_tokens else reported)
        if paid is None:
            sent = reported if completion.sent is None else completion.sent
            if self.request.thinking and sent is not reported:
                sent = replace(sent, thinking_tokens=sent.completion_tokens)
            paid = usage if sent is completion.usage and not sent.cached_tokens else info.price(sent)
            if sending.key is not None and store is not None:
                store.put(sending.key, info, completion)
        if sending.key is not None and self.context.memory is not None:
            self.context.memory.put(sending.key, info, completion)
        sending.reservation.settle(usage, paid=paid, book=self.until is None)
        self._note(sending, Draw(self.first + sending.index, usage, completion=completion), paid=paid)

    def _recall(self, sending: _Sending, completion: Completion) -> None:
        """Give what this run has drawn before: no cost of any kind."""
        sending.reservation.settle(Usage(), book=False)
        usage = self.model.info.price(replace(completion.usage, cached_tokens=0))
        self._note(sending, Draw(self.first + sending.index, usage, completion=completion, again=True), paid=Usage())

    def _fail(self, sending: _Sending, error: ProviderError, spent: Usage | None) -> None:
        unbilled = isinstance(error, _UNBILLED) and sending.reservation.streamed is None
        usage = self.model.info.price(Usage(calls=1)) if unbilled else sending.reservation.used()
        paid = usage if spent is None else self.model.info.price(spent)
        sending.reservation.settle(usage, paid=paid, book=self.until is None)
        self._note(sending, Draw(self.first + sending.index, usage, error=error), paid=paid)

    def _break(self, sending: _Sending, why: Interrupted) -> None:
        if self.draws[sending.index] is not None:
            return
        usage = Usage() if isinstance(why, _NotSent) else sending.reservation.used()
        partial = None
        if sending.text:
            partial = Completion(message=Message("assistant", sending.text), finish="cancelled", usage=usage)
        sending.reservation.settle(usage, book=self.until is None)
        draw = Draw(self.first + sending.index, usage, completion=partial, interrupted=why)
        self._note(sending, draw, paid=usage)

    def _note(self, sending: _Sending, draw: Draw, *, paid: Usage) -> None:
        self.draws[sending.index] = draw
        self.unsent.pop(sending.index, None)
        completion = draw.completion
        self._close(
            sending,
            finish=None if completion is None else completion.finish,
            text="" if completion is None else completion.text,
            usage=(Usage() if draw.again else draw.usage).to_json(),
            paid=paid.to_json(),
            stored=paid.calls == 0,
            error=None if draw.error is None else str(draw.error),
            interrupted=None if draw.interrupted is None else draw.interrupted.reason,
        )
        self.changed.set()

    def _open(self, index: int, reservation: Reservation) -> int:
        return self.context.trace.open(
            "call",
            self.context.span,
            role=self.role,
            model=self.model.name,
            path=list(self.path),
            index=self.first + index,
            prompt_tokens=reservation.need.prompt,
            max_tokens=reservation.completion,
        )

    def _close(self, sending: _Sending, **data: Any) -> None:
        self.context.trace.close(sending.span, "call", self.context.span, index=self.first + sending.index, **data)


class _Sink:
    """Counts tokens as they stream, so that a broken call is settled at what it cost."""

    def __init__(self, siblings: Siblings, batch: Sequence[_Sending]) -> None:
        self.siblings, self.batch = siblings, batch

    def token(self, index: int, text: str, count: int = 1) -> None:
        """Count streamed tokens."""
        sending = self.batch[index]
        sending.reservation.progress(count)
        sending.text += text
        progress = self.siblings.context.progress
        if progress is not None:
            progress(sending.span, text, count)

    def prompt(self, index: int, tokens: int) -> None:
        """The reservation's own count stands: it is exact, or an upper bound until the usage comes."""

    def done(self, index: int, completion: Completion) -> None:
        """Settle a sibling while the others run on."""
        self.siblings._finish(self.batch[index], completion)
