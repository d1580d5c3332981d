"""Runs that the page follows: every event as it happens, the outcome at the end, and an order to stop.

A run that is stopped ends with the best answer it has, and the page gets that; one whose page has gone is stopped in
the same way. The request is a chat completion's, so the page can ask for nothing that a client could not.
Source: server-sent events (WHATWG HTML).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from ponder.core.errors import PonderError
from ponder.core.trace import Event, finite
from ponder.gateway.chat import protocol
from ponder.gateway.chat.serving import ask_of
from ponder.gateway.errors import ApiError, of
from ponder.gateway.exchange import Exchange, Visitor, dumps
from ponder.gateway.gateway import Gateway
from ponder.gateway.pages.spots import cut
from ponder.gateway.service import TRACE_HEADER, Outcome, answer, usage_json
from ponder.gateway.settings import Key

__all__ = ["LiveRuns"]

_HEARTBEAT = 5.0  # seconds
_PACE = 0.05  # seconds between two writes, so that many small events are one


class LiveRuns:
    """The runs of all pages of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._running: dict[str, tuple[str, Visitor]] = {}

    def cancel(self, trace_id: str, key: Key, *, everyone: bool) -> bool:
        """Stop a run; False where there is none of that name (any more) that this key may stop."""
        owner, stopper = self._running.get(trace_id, ("", None))
        if stopper is None or not (everyone or owner == key.name):
            return False
        stopper.leave()
        return True

    async def follow(self, exchange: Exchange, key: Key) -> None:
        """Run a request and send what happens.

        Raises:
            ApiError: it cannot be run.
        """
        arrived = time.monotonic()
        gateway = self._gateway
        with gateway.visit() as house:
            body = protocol.check(await exchange.json(house.settings.request.max_body_bytes))
            gateway.check_store(body)
            ask = ask_of(body, house, key, arrived=arrived)
            feed = _Feed(live=ask.plan.single or ask.plan.alone)
            stopper = Visitor(_never)
            stopper.why = "the page stopped it"
            exchange.visitor.when_gone(stopper.leave)

            def opened(trace_id: str) -> None:
                feed.trace_id = trace_id
                self._running[trace_id] = (key.name, stopper)
                feed.tell({"run": trace_id, "method": ask.plan.name, "model": ask.plan.line.serves})

            async def run() -> None:
                try:
                    outcome = await answer(gateway, house, ask, stopper, watcher=feed, opened=opened)
                    feed.end({"done": _outcome(outcome)})
                except (ApiError, PonderError) as err:
                    told = of(err)
                    assert told is not None
                    feed.end(told.body())
                except Exception:
                    feed.end(ApiError("something went wrong in the gateway", status=500, kind="server_error").body())
                    raise
                finally:
                    self._running.pop(feed.trace_id, None)

            async def work() -> None:
                async with asyncio.TaskGroup() as group:
                    group.create_task(run())
                    await feed.send(exchange)

            await exchange.visitor.attended(work())


class _Feed:
    """What is to be sent to one page; it is told by the run."""

    def __init__(self, *, live: bool) -> None:
        self.live, self.trace_id = live, ""
        self._waiting: list[Mapping[str, Any]] = []
        self._stir = asyncio.Event()
        self._ended = False

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send this soon."""
        self._waiting.append(message)
        self._stir.set()

    def end(self, message: Mapping[str, Any]) -> None:
        """Send this as the last message."""
        self._ended = True
        self.tell(message)

    def token(self, sample: int, text: str) -> None:
        """A part of an answer that is shown as it comes."""
        self.tell({"token": [sample, text]})

    def detail(self, sample: int, text: str, more: Mapping[str, Any]) -> None:
        """A part with more than text, of which the page shows the text."""
        if text:
            self.token(sample, text)

    def watch(self, event: Event) -> None:
        """Something happened."""
        data = {name: cut(value) if isinstance(value, str) else value for name, value in event.data.items()}
        body = {"id": event.id, "parent": event.parent, "t": round(event.t, 4), "kind": event.kind}
        self.tell({"event": {**body, "phase": event.phase, "data": finite(data)}})

    async def send(self, exchange: Exchange) -> None:
        """Send what comes until the end."""
        sent = False
        while not (self._ended and not self._waiting):
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await self._stir.wait()
            except TimeoutError:
                pass
            self._stir.clear()
            messages, self._waiting = self._waiting, []
            if not sent:
                sent = True
                await exchange.start_stream({TRACE_HEADER: self.trace_id} if self.trace_id else None)
            lines = [b"data: " + dumps(finite(message)) + b"\n\n" for message in messages]
            await exchange.write(b"".join(lines) or b": waiting\n\n")
            if not self._ended:
                await asyncio.sleep(_PACE)
        await exchange.write(b"", last=True)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    result = outcome.result.to_json()
    return {
        **outcome.about(),
        "text": outcome.choices[0].text if outcome.choices else "",
        "chosen": result["chosen"],
        "seconds": result["seconds"],
        "usage": usage_json(outcome.paid),
        "list": [
            {name: candidate[name] for name in ("index", "answer", "finish", "usage", "scores", "error")}
            | {"text": cut((candidate["message"] or {}).get("text") or "")}
            for candidate in result["candidates"]
        ],
    }


async def _never() -> Any:
    """Listen for a client that is not there."""
    await asyncio.Event().wait()
