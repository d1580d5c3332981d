"""The running gateway: what is open, who may come in, and how it changes its settings without a pause.

A house is one state of the settings with the models that they name. Requests work in the house that they came into; a
reload builds the next one, takes over the upstreams that stayed the same, and lets the old ones go when their last
request has ended. Counters, queue and traces belong to the gateway and outlive a reload.

Source: our own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ponder.core import registry
from ponder.core.errors import BadInput, MissingExtra
from ponder.core.model import Model
from ponder.core.solve import Control
from ponder.core.store import Store
from ponder.gateway.account import Account
from ponder.gateway.admission import AdmissionQueue
from ponder.gateway.answers import Answers, Drawer
from ponder.gateway.choice import PASS_THROUGH, Chooser
from ponder.gateway.counters import open_counters
from ponder.gateway.errors import ApiError
from ponder.gateway.keys import authenticate
from ponder.gateway.settings import Key, Settings, Upstream
from ponder.gateway.settings_file import load_settings
from ponder.gateway.telemetry import Telemetry
from ponder.gateway.trace_book import TraceBook, TraceRecord
from ponder.gateway.upstreams import Lines, open_upstream
from ponder.gateway.warming import warm

if TYPE_CHECKING:
    from ponder.core.budget import Meter
    from ponder.core.usage import Usage
    from ponder.gateway.exchange import Exchange
    from ponder.gateway.metrics import Metrics

__all__ = ["Gateway", "House", "Running"]

logger = logging.getLogger(__name__)
# Sections that a reload leaves as they are.
_FIXED = ("server", "counters", "traces", "store")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Running(Control):
    """A run in progress: it can be ended, and says what it has paid, however it ended."""

    def __init__(self) -> None:
        super().__init__()
        self._paying: Meter | None = None

    def attach(self, meter: Meter) -> None:
        """Called by `solve`."""
        self._paying = meter
        super().attach(meter)

    @property
    def paid(self) -> Mapping[str, Usage]:
        """What was really sent, by role."""
        return {} if self._paying is None else dict(sorted(self._paying.paid.items()))


@dataclass(eq=False)
class House:
    """One state of the settings.

    Attributes:
        settings: the state.
        lines: its models.
        chooser: what can be asked of them.
        guests: requests in it.
        retired: another one has taken its place.
    """

    settings: Settings
    lines: Lines
    chooser: Chooser
    guests: int = 0
    retired: bool = False


class Gateway:
    """Everything that requests share; make it with `open`.

    Attributes:
        house: the state that new requests come into.
        account, admission, book, telemetry, metrics: see there.
        store: response store for requests that ask for it, or None.
        draining: no new work is wanted.
    """

    def __init__(
        self,
        house: House,
        *,
        account: Account,
        book: TraceBook,
        telemetry: Telemetry | None,
        metrics: Metrics | None,
        store: Store | None,
        path: Path | None,
        opener: Callable[[Upstream], Model],
    ) -> None:
        self.house, self.account, self.book, self.telemetry, self.metrics = house, account, book, telemetry, metrics
        self.admission = AdmissionQueue.of(house.settings)
        self.store, self.path, self.draining = store, path, False
        self._read: Settings | None = None  # of the file, as it was last read (the command line may have changed them)
        self._opener = opener
        self._running: set[Running] = set()
        self._old: set[House] = set()
        self._follow()

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        path: Path | None = None,
        store: Store | None = None,
        opener: Callable[[Upstream], Model] = open_upstream,
    ) -> Gateway:
        """Open everything that the settings name.

        Args:
            settings: checked settings.
            path: the file they came from, for `reload`.
            store: response store in place of the settings'.
            opener: opens an upstream.

        Raises:
            BadInput: something that they name cannot be opened.
            MissingExtra: a library is missing.
        """
        house = await _house(settings, {}, opener)
        try:
            await warm(house.chooser)
            account = Account(await open_counters(settings.counters.url), settings)
            book = TraceBook(settings.traces)
            telemetry = Telemetry.open(settings.traces)
            kept = settings.store
            if store is None and kept.file is not None:
                store = Answers(kept.file, hours=kept.hours)
        except BaseException:
            await house.lines.close()
            raise
        made = cls(
            house,
            account=account,
            book=book,
            telemetry=telemetry,
            metrics=_metrics(settings),
            store=store,
            path=path,
            opener=opener,
        )
        if path is not None:
            with suppress(BadInput):
                made._read = load_settings(path)
        return made

    def key_of(self, exchange: Exchange) -> Key:
        """Return whose request it is.

        Raises:
            ApiError: no key or a wrong one, or a page of another site asks.
        """
        settings = self.house.settings
        key = authenticate(exchange.header("authorization"), settings)
        if key is None:
            self.refused("key")
            raise ApiError(
                "this gateway needs a key: send it as `Authorization: Bearer KEY`",
                status=401,
                kind="authentication_error",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )
        if not settings.keys:
            _check_origin(exchange, settings)
        return key

    def check_store(self, body: Mapping[str, Any]) -> None:
        """Refuse a request for stored answers where none are kept.

        Raises:
            ApiError: 400.
        """
        if self.store is None and (body.get("ponder") or {}).get("store"):
            raise ApiError("this gateway keeps no response store", code="no_store", param="ponder.store")

    def store_of(self, key: Key) -> Store | None:
        """Return the response store as a key sees it."""
        if self.store is None or self.house.settings.store.shared:
            return self.store
        return Drawer(self.store, key.name)

    @contextmanager
    def visit(self) -> Iterator[House]:
        """Work in the present house; an old one is let go when its last guest leaves."""
        house = self.house
        house.guests += 1
        try:
            yield house
        finally:
            house.guests -= 1

    @contextmanager
    def running(self) -> Iterator[Running]:
        """Hold a run that `end_runs` can end."""
        run = Running()
        self._running.add(run)
        try:
            yield run
        finally:
            self._running.discard(run)

    def end_runs(self, why: str) -> int:
        """End all runs with the best they have, and return how many there were."""
        for run in list(self._running):
            run.cancel(why)
        return len(self._running)

    async def reload(self) -> str:
        """Read the settings file again and return what came of it; a file that cannot be used changes nothing."""
        if self.path is None:
            return "there is no settings file to read again"
        try:
            read = load_settings(self.path)
            # Where it listens and what it has open stays until the next start.
            before = self.house.settings
            await self.use(replace(read, **{name: getattr(before, name) for name in _FIXED}))
            fixed = [n for n in _FIXED if getattr(read, n) != getattr(self._read or before, n)]
            self._read = read
        except (BadInput, MissingExtra, ValueError) as err:
            return f"the settings stay as they were: {err}"
        later = f"; what is new in [{'], ['.join(fixed)}] waits for the next start" if fixed else ""
        return f"settings read again from {self.path}{later}"

    async def use(self, settings: Settings) -> None:
        """Go on with other settings.

        Raises:
            BadInput: they cannot be used; nothing has changed.
        """
        house = await _house(settings, self.house.lines.models, self._opener)
        old, self.house = self.house, house
        old.retired = True
        self._old.add(old)
        self.account.settings = settings
        self.admission.reconfigure(settings)
        self._follow()
        if self.metrics is not None:
            self.metrics = _metrics(settings) if _labels(settings) != _labels(old.settings) else self.metrics
            self._follow_metrics()
        await self.tidy()

    async def tidy(self) -> None:
        """Close houses that nobody is in any more."""
        for old in [house for house in self._old if not house.guests]:
            self._old.discard(old)
            others = [self.house, *self._old]
            await old.lines.close(keep={u: m for house in others for u, m in house.lines.models.items()})

    async def close(self) -> None:
        """Settle, write and close everything."""
        self.draining = True
        for house in [*self._old, self.house]:
            others = () if house is self.house else self.house.lines.models.items()
            await house.lines.close(keep=dict(others))
        self._old.clear()
        await self.account.close()
        await self.book.close()
        if isinstance(self.store, Answers):
            self.store.close()
        if self.telemetry is not None:
            await asyncio.to_thread(self.telemetry.close)  # it sends what waits

    # -- notes of what happened -----------------------------------------------------------------------------------

    @property
    def keeps_traces(self) -> bool:
        """Whether anyone reads records."""
        return self.book.rules.file is not None or self.telemetry is not None

    def note(self, record: TraceRecord, *, traceparent: str | None = None) -> None:
        """Keep the record of a request."""
        self.book.save(record)
        if self.telemetry is not None:
            self.telemetry.export(record, traceparent=traceparent)

    def refused(self, reason: str) -> None:
        """Count a request that was turned away."""
        if self.metrics is not None:
            self.metrics.refused(reason)

    def _follow(self) -> None:
        for line in self.house.lines.by_model.values():
            line.when_failed = self._upstream_failed
        self._follow_metrics()

    def _follow_metrics(self) -> None:
        if self.metrics is not None:
            self.metrics.follow(
                running=lambda: self.admission.running,
                waiting=lambda: self.admission.waiting,
                lost=lambda: self.book.lost,
            )

    def _upstream_failed(self, name: str) -> None:
        if self.metrics is not None:
            self.metrics.upstream_failed(name)


async def _house(settings: Settings, known: Mapping[Upstream, Model], opener: Callable[[Upstream], Model]) -> House:
    if settings.policy is not None:
        from ponder.planning.policy import load_policy

        load_policy(settings.policy)
    lines = await Lines.open(settings, known=known, opener=opener)
    return House(settings, lines, Chooser(settings, lines))


def _labels(settings: Settings) -> dict[str, Any]:
    return {
        "keys": ("anyone", *(key.name for key in settings.keys)),
        "methods": (PASS_THROUGH, "embeddings", *registry.strategies.names()),
        "models": settings.models,
    }


def _metrics(settings: Settings) -> Metrics | None:
    from ponder.gateway.metrics import Metrics

    try:
        return Metrics(**_labels(settings))
    except MissingExtra as err:
        logger.warning("no metrics: %s", err)
        return None


def _check_origin(exchange: Exchange, settings: Settings) -> None:
    """Refuse a page of another site, and a name that points here but is not ours: without keys nothing else would.

    Raises:
        ApiError: 403.
    """
    host = exchange.header("host") or ""
    name = urlsplit(f"//{host}").hostname or ""
    if settings.server.loopback and name and name not in _LOOPBACK:
        raise _foreign(f"this gateway is not called {name[:100]!r}")
    origin = exchange.header("origin")
    if origin is None or origin in settings.server.cors_origins or "*" in settings.server.cors_origins:
        return
    if urlsplit(origin).netloc != host:
        raise _foreign(f"pages of {origin[:100]!r} may not call this gateway; see cors_origins in its settings")


def _foreign(message: str) -> ApiError:
    return ApiError(message, status=403, kind="permission_error", code="foreign_origin")
