"""Answers as they come: tokens that are certain to be the answer's at once, signs of progress until then.

A token is certain where its call is the whole run (a pass-through, a greedy answer, `auto` once it has picked one), or
where the method has committed itself to an answer. Until then the client hears how far the run is, as comments of the
event stream or as `reasoning_content`, and a comment every few seconds in any case, so that nothing between here and
there hangs up. Headers wait for the first of these, so a request that fails before it gets its proper status.

Source: server-sent events (WHATWG HTML), chunks as in OpenAI's API reference.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from ponder.core import registry
from ponder.core.errors import PonderError
from ponder.core.trace import Event
from ponder.gateway.choice import Plan, is_alone
from ponder.gateway.errors import ApiError, of
from ponder.gateway.exchange import Exchange, dumps
from ponder.gateway.gateway import Gateway, House
from ponder.gateway.pieces import Piece, Sent
from ponder.gateway.service import TRACE_HEADER, Ask, Outcome, answer
from ponder.models.logprobs import read_logprobs

__all__ = ["Feed", "Form", "Progress", "stream"]

Progress = Literal["reasoning", "comments", "none"]
HEARTBEAT_SECONDS = 5.0
# Seconds between two signs of progress.
PACE_SECONDS = 0.1


class Form(Protocol):
    """How an endpoint writes its events."""

    def begin(self, trace_id: str) -> None:
        """The run has this id."""

    def piece(self, piece: Piece) -> bytes:
        """Return the event for a part of a text."""

    def thought(self, text: str) -> bytes:
        """Return the event for progress shown as reasoning; empty where the endpoint has no such thing."""

    def rest(self, outcome: Outcome, sent: Mapping[int, Sent]) -> bytes:
        """Return the events for everything that was not sent: rest of the texts, ends, usage."""

    def cut(self, sent: Mapping[int, Sent], err: ApiError) -> bytes:
        """Return the events that end texts which cannot be completed."""


class Feed:
    """Follows a run and keeps what is to be sent.

    Attributes:
        live: whether tokens are shown as they come.
        sent: by choice, what was taken to be sent.
    """

    def __init__(self, plan: Plan, *, logprobs: bool = False) -> None:
        """Follow a run of this plan.

        Args:
            plan: what answers.
            logprobs: the client wants log-probabilities: a token that comes without its own is kept back to the end,
                with all that follow it.
        """
        self._logprobs = logprobs
        self._held: set[int] = set()
        self._begun = False
        self.live = plan.alone or plan.single
        self.sent: dict[int, Sent] = {}
        self.news = ""
        self._plan = plan
        self._pieces: deque[Piece] = deque()
        self._stir = asyncio.Event()
        self._root = 0
        self._calls = self._done = self._scored = 0
        self.trace_id = ""
        self.outcome: Outcome | None = None
        self.error: ApiError | None = None

    # -- from the run ----------------------------------------------------------------------------------------------

    def opened(self, trace_id: str) -> None:
        """The run has an id."""
        self.trace_id = trace_id

    def token(self, sample: int, text: str) -> None:
        """A token of an answer that is shown as it comes."""
        choice = sample if self._plan.single else 0
        if self._logprobs:
            self._held.add(choice)
        else:
            self._say(Piece(choice, text))

    def detail(self, sample: int, text: str, more: Mapping[str, Any]) -> None:
        """A part of an answer that is more than text."""
        choice = sample if self._plan.single else 0
        shown = {name: part for name, part in more.items() if name != "logprobs"}
        if self._logprobs:
            tokens = read_logprobs(more["logprobs"]) if "logprobs" in more else None
            if tokens:
                shown["tokens"] = tokens
            elif text:
                self._held.add(choice)
            if choice in self._held:
                return
        if text or shown:
            self._say(Piece(choice, text, shown or None))

    def watch(self, event: Event) -> None:
        """Note what happened; certainty begins where one call is the whole rest of the run, or at a commitment."""
        if event.kind == "run" and event.phase == "open":
            if not self._root:
                self._root = event.id
            elif event.parent == self._root and self._plan.name == "auto":
                self.live = _is_alone(event.data)
        elif event.kind == "commit" and event.parent == self._root and not self._logprobs:
            text = event.data.get("text")
            if isinstance(text, str) and not self._begun:
                self._say(Piece(0, text))
        elif event.kind == "call":
            self._calls += event.phase == "open"
            self._done += event.phase == "close"
            self._tell()
        elif event.kind == "score":
            self._scored += 1
            self._tell()

    def finish(self, outcome: Outcome | None, error: ApiError | None) -> None:
        """The run has ended."""
        self.outcome, self.error = outcome, error
        self._stir.set()

    def _say(self, piece: Piece) -> None:
        self._begun = True
        self._pieces.append(piece)
        self._stir.set()

    def _tell(self) -> None:
        if self.live:
            return
        scored = f", {self._scored} scored" if self._scored else ""
        self.news = f"{self._plan.name}: {self._done} of {self._calls} calls done{scored}"
        self._stir.set()

    # -- to the client ---------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.outcome is not None or self.error is not None

    async def wait(self, seconds: float) -> bool:
        """Wait for something to send; return False where nothing came in that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._stir.wait()
        except TimeoutError:
            return False
        self._stir.clear()
        return True

    def take(self) -> list[Piece]:
        """Return the parts that have come, and count them as sent."""
        pieces = list(self._pieces)
        self._pieces.clear()
        for piece in pieces:
            if (sent := self.sent.get(piece.choice)) is None:
                sent = self.sent[piece.choice] = Sent()
            sent.add(piece)
        return pieces


async def stream(
    gateway: Gateway,
    house: House,
    ask: Ask,
    exchange: Exchange,
    form: Form,
    *,
    progress: Progress,
    heartbeat: float | None = None,
) -> None:
    """Run a request and send its answer as it comes.

    Raises:
        ApiError: there is no answer, and nothing has been sent.
    """
    feed = Feed(ask.plan, logprobs=ask.shape.logprobs is not None)

    async def run() -> None:
        try:
            outcome = await answer(gateway, house, ask, exchange.visitor, watcher=feed, opened=feed.opened)
        except (ApiError, PonderError) as err:
            feed.finish(None, of(err))
        except Exception:
            feed.finish(None, ApiError("something went wrong in the gateway", status=500, kind="server_error"))
            raise
        else:
            feed.finish(outcome, None)

    async with asyncio.TaskGroup() as group:
        group.create_task(run())
        await _send(feed, exchange, form, progress, HEARTBEAT_SECONDS if heartbeat is None else heartbeat)


async def _send(feed: Feed, exchange: Exchange, form: Form, progress: Progress, heartbeat: float) -> None:
    told, told_at = "", 0.0
    while True:
        stirred = await feed.wait(heartbeat)
        out = [event for piece in _taken(feed, form) if (event := form.piece(piece))]
        if feed.ended:
            break
        if feed.news != told and progress != "none" and (now := time.monotonic()) - told_at >= PACE_SECONDS:
            told, told_at = feed.news, now
            out.append(_comment(told) if progress == "comments" else form.thought(told + "\n") or _comment(told))
        if not stirred:
            out.append(b": waiting\n\n")
        if out:
            await _write(exchange, feed, b"".join(out))
    if feed.outcome is not None:
        out.append(form.rest(feed.outcome, feed.sent))
        out.append(b"data: [DONE]\n\n")
    elif not exchange.started and not out:
        assert feed.error is not None
        raise feed.error
    else:
        assert feed.error is not None
        if feed.sent:
            out.append(form.cut(feed.sent, feed.error))
            out.append(b"data: [DONE]\n\n")
        else:
            out.append(b"data: " + dumps(feed.error.body()) + b"\n\n")
    await _write(exchange, feed, b"".join(out))
    await exchange.write(b"", last=True)


def _taken(feed: Feed, form: Form) -> Sequence[Piece]:
    if feed.trace_id:
        form.begin(feed.trace_id)
    return feed.take()


async def _write(exchange: Exchange, feed: Feed, data: bytes) -> None:
    if not exchange.started:
        await exchange.start_stream({TRACE_HEADER: feed.trace_id})
    await exchange.write(data)


def _comment(text: str) -> bytes:
    return b": " + text.encode("ascii", "replace").replace(b"\n", b" ").replace(b"\r", b" ") + b"\n\n"


def _is_alone(data: Mapping[str, Any]) -> bool:
    """Whether a nested run of this description is one call."""
    try:
        entry = registry.strategies.get(str(data.get("method")))
        return is_alone(entry, entry.make(**data.get("settings", {})))
    except PonderError:
        return False
