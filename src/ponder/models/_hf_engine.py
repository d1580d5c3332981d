"""Continuous batching in one thread: prompts are read once, rows that finish are replaced, stops fall between steps.

All calls of all tasks share one batch. A job waits in a queue; while there is room its prompt is read once, the keys
and values are copied into a row for each sibling, and the row that finishes first makes room for the next sibling.
The last prompts are kept, so that another round on the same prompt, or on one that begins alike, starts from there.

Source: our own. Cost: one forward pass per step for the whole batch. Needs: the extra `torch`.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from ponder.core.errors import EndpointDown, ProviderError
from ponder.core.model import Completion, Finish, Request, Sink
from ponder.models._hf_measures import Top, measure
from ponder.models._hf_sampler import Row, choose
from ponder.models._hf_slots import Network, Slots
from ponder.models._hf_text import Spelling

__all__ = ["Drawn", "Engine", "Job", "Prompt", "as_provider_error"]

# A long prompt is read in pieces, so that a cancelled call ends between them.
_PIECE = 512
# Fewer shared tokens than this are not worth a copy.
_SHARED = 8

# Numbers that are worked on at once on a processor: small enough for its cache, and for memory that is used again
# instead of being asked of the system at each step (a factor of nine for the certainty of 64 rows).
_NUMBERS = 2**18


class Prompt(NamedTuple):
    """A prompt that was read.

    Attributes:
        ids: its tokens.
        slots: a cache whose row 0 holds it.
        logits: [vocabulary], after its last token.
        reused: how many of its tokens came from a cache.
    """

    ids: tuple[int, ...]
    slots: Slots
    logits: torch.Tensor
    reused: int


@dataclass(eq=False)
class Job:
    """One `generate` call on its way.

    Attributes:
        ids: the prompt.
        request: what was asked for.
        limit: most tokens of one answer.
        loop, sink: where progress is reported.
        build: makes the completion of a sibling that ended.
        cancelled: set by the caller; the rows are dropped before the next step.
        future: resolved with the siblings in order, or with those that ended before the cancellation.
        next: index of the next sibling to start.
    """

    ids: tuple[int, ...]
    request: Request
    limit: int
    loop: asyncio.AbstractEventLoop
    sink: Sink | None
    build: Callable[[Drawn, Prompt], Completion]
    cancelled: threading.Event = field(default_factory=threading.Event)
    future: Future[list[Completion]] = field(default_factory=Future)
    prompt: Prompt | None = None
    next: int = 0
    done: dict[int, Completion] = field(default_factory=dict)
    events: list[tuple[int, str | Completion]] = field(default_factory=list)


@dataclass(eq=False)
class Drawn:
    """One sibling while it grows, and when it has ended."""

    job: Job
    index: int
    spelling: Spelling
    row: Row
    counts: Counter[int]
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[Top] = field(default_factory=list)
    certainty: list[float] = field(default_factory=list)
    finish: Finish | None = None


class Engine:
    """The thread that owns the network.

    Attributes:
        network: the language model.
        steps, prompt_tokens: forward passes made for sampling, and prompt tokens really read, since the start.
    """

    def __init__(
        self,
        network: Network,
        decode: Callable[[list[int]], str],
        *,
        ends: frozenset[int],
        batch: int,
        cache_bytes: int,
        prompt_cache: int,
    ) -> None:
        """Make an idle engine.

        Args:
            network: the language model.
            decode: ids -> text.
            ends: ids that end an answer.
            batch: most rows that run together.
            cache_bytes: most memory for their keys and values.
            prompt_cache: most tokens of prompts that are kept after use.
        """
        self.network, self.decode, self.ends, self.batch = network, decode, ends, batch
        self.steps = self.prompt_tokens = 0
        self._piece = max(1, _NUMBERS // network.vocabulary) if network.device.type == "cpu" else batch
        self._most_bytes, self._kept_tokens = cache_bytes, prompt_cache
        self._thread = ThreadPoolExecutor(1, "ponder-hf")
        # Protects the two inboxes and `_running`, which the callers' threads touch.
        self._lock = threading.Lock()
        self._inbox: deque[Job] = deque()
        self._errands: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._running = self._closed = False
        self._jobs: list[Job] = []  # all that are not resolved; those of `_waiting` have siblings to start
        self._waiting: list[Job] = []
        self._rows: list[Drawn] = []
        self._slots = network.slots(batch)
        self._kept: list[Prompt] = []

    def submit(self, job: Job) -> None:
        """Queue a job; its future is resolved from the thread."""
        job.future.set_running_or_notify_cancel()  # from here on only `cancelled` ends it
        self._start(lambda: self._inbox.append(job))

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Run `function` in the thread, between two steps."""
        future: Future[Any] = Future()
        self._start(lambda: self._errands.append((function, future)))
        return future

    def close(self) -> None:
        """Drop what runs and end the thread."""
        with self._lock:
            self._closed = True
        self._thread.shutdown()

    def _start(self, enqueue: Callable[[], None]) -> None:
        with self._lock:
            if self._closed:
                raise EndpointDown("the model is closed")
            enqueue()
            if not self._running:
                self._running = True
                self._thread.submit(self._run)

    # -- in the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Work until nothing is left."""
        with torch.inference_mode():
            while True:
                with self._lock:
                    self._jobs += self._inbox
                    self._waiting += self._inbox
                    self._inbox.clear()
                    errands = list(self._errands)
                    self._errands.clear()
                    if not (self._jobs or errands):
                        self._running = False
                        self._slots = self.network.slots(self.batch)  # gives the memory back
                        return
                for function, future in errands:
                    _resolve(future, function)
                try:
                    self._turn()
                except Exception as err:  # the edge of the thread: whoever waits gets the error
                    self._fail(err)

    def _turn(self) -> None:
        """Drop what was cancelled, fill the batch, make one step."""
        self._drop_cancelled()
        self._admit()
        if self._rows:
            self.steps += 1
            logits = self.network.advance(self._slots, [[row.ids[-1]] for row in self._rows], last=True)
            self._take(logits[:, -1], self._rows)
            self._sweep()
        for job in self._jobs:
            _report(job)

    def _admit(self) -> None:
        """Start siblings while there is room."""
        while self._waiting:
            job = self._waiting[0]
            if not self._room(job):
                return
            if job.prompt is None:
                job.prompt = self.read(job.ids, job.cancelled)
            if job.prompt is None:
                self._drop_cancelled()
                continue
            fresh: list[Drawn] = []
            while job.next < job.request.n and self._room(job):
                fresh.append(self._sibling(job))
                self._rows.append(fresh[-1])
            self._slots.put(job.prompt.slots, copies=len(fresh))
            if job.next == job.request.n:
                self._waiting.pop(0)
            self._take(job.prompt.logits.expand(len(fresh), -1), fresh)
            self._sweep()

    def _room(self, job: Job) -> bool:
        rows = len(self._rows)
        if rows == 0:
            return True
        longest = max(len(j.ids) + j.limit for j in [job, *(row.job for row in self._rows)])
        return rows < self.batch and (rows + 1) * longest * self.network.bytes_per_token <= self._most_bytes

    def _sibling(self, job: Job) -> Drawn:
        request, index = job.request, job.next
        job.next += 1
        counts: Counter[int] = Counter()
        row = Row(request.sampling, random.Random(request.seed + index), frozenset(job.ids), counts)
        spelling = Spelling(self.decode, before=job.ids, stops=request.sampling.stop)
        return Drawn(job, index, spelling, row, counts)

    def _take(self, logits: torch.Tensor, rows: Sequence[Drawn]) -> None:
        """Draw the next token of each of `rows` from raw logits [rows, vocabulary] and note what was asked for."""
        for start in range(0, len(rows), self._piece):
            some, piece = rows[start : start + self._piece], logits[start : start + self._piece].float()
            tokens = choose(piece, [row.row for row in some])
            requests = [row.job.request for row in some]
            if any(request.logprobs is not None or request.certainty for request in requests):
                measures = measure(piece, tokens, top=max(request.logprobs or 0 for request in requests))
                for i, (row, request) in enumerate(zip(some, requests, strict=True)):
                    if request.logprobs is not None:
                        row.logprobs.append(measures.logprobs[i])
                        row.top.append(measures.top[i][: request.logprobs])
                    if request.certainty:
                        row.certainty.append(measures.certainty[i])
            for row, token in zip(some, tokens, strict=True):
                self._append(row, token)

    def _append(self, row: Drawn, token: int) -> None:
        row.ids.append(token)
        row.counts[token] += 1
        text = "" if token in self.ends else row.spelling.push(token)
        if token in self.ends or row.spelling.stopped is not None:
            row.finish = "stop"
        elif len(row.ids) >= row.job.limit:
            row.finish = "length"
        if row.finish is not None:
            text += row.spelling.finish()
        row.job.events.append((row.index, text))

    def _sweep(self) -> None:
        """Take the rows that ended out of the batch."""
        for place in reversed(range(len(self._rows))):
            row = self._rows[place]
            if row.finish is not None:
                self._remove(place)
                self._end(row)

    def _remove(self, place: int) -> None:
        self._slots.drop(place)
        last = self._rows.pop()
        if place < len(self._rows):
            self._rows[place] = last

    def _end(self, row: Drawn) -> None:
        job = row.job
        assert job.prompt is not None
        completion = job.build(row, job.prompt)
        job.done[row.index] = completion
        job.events.append((row.index, completion))
        if len(job.done) == job.request.n:
            self._resolve_job(job)

    def _resolve_job(self, job: Job) -> None:
        _report(job)
        self._jobs.remove(job)
        job.future.set_result([job.done[i] for i in sorted(job.done)])

    def _drop_cancelled(self) -> None:
        if self._closed:
            self._fail(EndpointDown("the model was closed"))
        for place in reversed(range(len(self._rows))):
            if self._rows[place].job.cancelled.is_set():
                job = self._rows[place].job
                self._remove(place)
                if all(row.job is not job for row in self._rows) and job not in self._waiting:
                    self._resolve_job(job)
        for job in [job for job in self._waiting if job.cancelled.is_set()]:
            self._waiting.remove(job)
            self._resolve_job(job)

    def _fail(self, err: Exception) -> None:
        """Give the error to every call on its way and start afresh."""
        told = as_provider_error(err)
        for job in self._jobs:
            _report(job)
            job.future.set_exception(told)
        self._jobs, self._waiting, self._rows, self._kept = [], [], [], []
        self._slots = self.network.slots(self.batch)

    # -- prompts ---------------------------------------------------------------------------------------------------

    def read(self, ids: tuple[int, ...], cancelled: threading.Event | None = None) -> Prompt | None:
        """Read a prompt, starting from the kept one that shares most of its beginning; None where cancelled."""
        slots, reused = self.network.slots(1), 0
        near = max(self._kept, key=lambda kept: _common(kept.ids, ids), default=None)
        if near is not None:
            if near.ids == ids:
                self._keep(near)
                return near._replace(reused=len(ids))
            # The last token is always read: its logits are needed.
            reused = min(_common(near.ids, ids), len(ids) - 1)
            reused = reused if reused >= _SHARED else 0
            if reused:
                slots.put(near.slots, length=reused)
        for start in range(reused, len(ids), _PIECE):
            if cancelled is not None and cancelled.is_set():
                return None
            piece = ids[start : start + _PIECE]
            logits = self.network.advance(slots, [piece], last=True)
            self.prompt_tokens += len(piece)
        prompt = Prompt(ids, slots, logits[0, -1], reused)
        self._keep(prompt)
        return prompt

    def _keep(self, prompt: Prompt) -> None:
        """Put a prompt first among the kept ones and forget the oldest beyond the limit."""
        kept = [prompt, *(other for other in self._kept if other.ids != prompt.ids)]
        total, self._kept = 0, []
        for one in kept:
            if total + len(one.ids) <= self._kept_tokens:
                total += len(one.ids)
                self._kept.append(one)


def as_provider_error(err: Exception) -> Exception:
    """Return the error as callers expect it: torch reports a full memory and failed kernels as RuntimeError."""
    return ProviderError(f"the model failed: {err}") if isinstance(err, RuntimeError) else err


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """Return how many tokens two texts share from the start."""
    return next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def _report(job: Job) -> None:
    """Hand what happened since the last time to the caller's loop, in order."""
    events, job.events = job.events, []
    if job.sink is None or not events:
        return
    try:
        job.loop.call_soon_threadsafe(_deliver, job.sink, events)
    except RuntimeError:  # the loop was closed: nobody listens any more
        job.cancelled.set()


def _deliver(sink: Sink, events: Sequence[tuple[int, str | Completion]]) -> None:
    for index, what in events:
        if isinstance(what, str):
            sink.token(index, what)
        else:
            sink.done(index, what)


def _resolve(future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except Exception as err:  # the edge of the thread: whoever waits gets the error
        future.set_exception(as_provider_error(err))
