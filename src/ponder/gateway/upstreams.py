"""The models behind the gateway: opened once, alternatives in order of priority, repeated when they fail.

A line is what clients know under one model name. A call goes to its first healthy upstream; when that fails, to the
next one; when all have failed, again after a wait, a few times. Retries are made here and not inside the back-ends,
because only here is it known when an answer begins anew, which a client that reads along must not see.

Source: our own, on `ponder.models.upstreams` (order and rest of failed ones) and the waiting times of `Retry`.
Cost: an attempt that broke in the middle is paid for, and stands in the `sent` of the answer that replaced it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from ponder.core.errors import BadInput, ConfigError, EndpointDown, ProviderError, RequestRefused
from ponder.core.model import Completion, Model, Request, Sink
from ponder.core.seeds import derive
from ponder.core.solve import load
from ponder.core.usage import Usage
from ponder.gateway.relay import Diverged
from ponder.gateway.settings import Price, Settings, Upstream
from ponder.models._limiter import Retry
from ponder.models.openai import OpenAI
from ponder.models.upstreams import Upstreams

__all__ = ["EMBEDDED", "Line", "Lines", "open_upstream"]

EMBEDDED = "smollm2"
# Refusals that say something about the endpoint (key, credit, model name), not about the request.
_ELSEWHERE = (401, 402, 403, 404, 429)


def open_upstream(upstream: Upstream) -> Model:
    """Open one upstream.

    Raises:
        ConfigError: a spec or an option that cannot work.
        MissingExtra: its back-end is not installed.
        BadInput: its files are missing.
    """
    if upstream.spec == "embedded":
        return load(f"embedded:{EMBEDDED}")
    if upstream.spec.partition(":")[0] != "openai":
        if upstream.kind:
            raise ConfigError(f"kind is for openai: upstreams, not for {upstream.spec!r}")
        return load(upstream.spec)
    options: dict[str, object] = {"connections": upstream.max_concurrent, "retries": 0, "kind": upstream.kind}
    if upstream.api_key_env is not None:
        options["api_key_env"] = upstream.api_key_env
    return load(upstream.spec, **options)


@dataclass(kw_only=True, eq=False)
class Line(Upstreams):
    """One public model name.

    Attributes:
        serves: that name.
        price: what its tokens cost, or None.
        places: for each upstream the slots to it, or None where the back-end counts them itself.
        retry: waits between rounds over all upstreams.
        names: of the upstreams in the settings.
        when_failed: called with the name of an upstream that failed.
    """

    serves: str
    price: Price | None = None
    places: Sequence[asyncio.Semaphore | None] = ()
    retry: Retry = field(default_factory=lambda: Retry(times=2, first=0.2, longest=10.0))
    names: Sequence[str] = ()
    when_failed: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.places = self.places or [None] * len(self.upstreams)
        self.names = self.names or [model.name for model in self.upstreams]
        self._rng = derive(0, "gateway", self.serves)
        if self.price is not None:
            cached = self.price.cached
            self.info = replace(
                self.info,
                usd_per_prompt_token=self.price.prompt * 1e-6,
                usd_per_cached_token=None if cached is None else cached * 1e-6,
                usd_per_completion_token=self.price.completion * 1e-6,
            )

    @property
    def healthy(self) -> bool:
        """Whether at least one upstream does not rest after a failure."""
        now = self.clock()
        return any(health.rests_until <= now for health in self.health)

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        """Sample from the first upstream that answers.

        Raises:
            RequestRefused: the request itself is at fault; nobody else is asked.
            ProviderError: the last failure, when all have failed in every round.
        """
        spent = Usage()
        down = 0
        tries = 0
        last: ProviderError | None = None
        for attempt in range(self.retry.times + 1):
            for place in self._order():
                target = sink
                if tries and sink is not None:
                    if (restart := getattr(sink, "restart", None)) is not None:
                        restart()
                    target = _Billed(sink, spent)
                tries += 1
                try:
                    done = await self._ask(place, request, target)
                except ProviderError as err:
                    if err.spent is not None and err.spent.tokens:
                        spent = spent + err.spent
                    if isinstance(err, Diverged) or (isinstance(err, RequestRefused) and err.status not in _ELSEWHERE):
                        err.spent = spent if spent.tokens else err.spent
                        raise
                    self._failed(place, err)
                    if self.when_failed is not None:
                        self.when_failed(self.names[place])
                    down += isinstance(err, EndpointDown)
                    last = err
                else:
                    self._answered(place)
                    if not spent.tokens or isinstance(target, _Billed):
                        return done
                    return [replace(done[0], sent=(done[0].sent or done[0].usage) + spent), *done[1:]]
            assert last is not None
            delay = self.retry.delay(last, attempt, self._rng)
            if delay is None:
                break
            await asyncio.sleep(delay)
        assert last is not None
        if spent.tokens:
            last.spent = spent
        if tries > 1 and down == tries:
            raise EndpointDown(f"{self.serves}: no upstream can be reached: {last}") from last
        raise last

    async def _ask(self, place: int, request: Request, sink: Sink | None) -> list[Completion]:
        slots = self.places[place]
        if slots is None:
            return await self.upstreams[place].generate(request, sink)
        async with slots:
            return await self.upstreams[place].generate(request, sink)

    def _answered(self, place: int) -> None:
        health = self.health[place]
        if health.failures:
            health.failures, health.rests_until = 0, float("-inf")
        if self.access is not self.upstreams[0].access or len(self.upstreams) > 1:
            self._refresh()

    async def close(self) -> None:
        """Nothing is held: `Lines` closes the upstreams."""


class _Billed:
    """Adds what broken attempts cost to the first answer that comes after them."""

    def __init__(self, sink: Sink, spent: Usage) -> None:
        self._sink, self._spent = sink, spent
        self.token, self.prompt = sink.token, sink.prompt
        if (detail := getattr(sink, "detail", None)) is not None:
            self.detail = detail

    def done(self, index: int, completion: Completion) -> None:
        if self._spent.tokens:
            completion = replace(completion, sent=(completion.sent or completion.usage) + self._spent)
            self._spent = Usage()
        self._sink.done(index, completion)


class Lines:
    """Everything that is open, by name.

    Attributes:
        by_model: lines by the name that clients use.
        by_role: what plays a role ("judge", ...).
        models: the open upstreams.
    """

    def __init__(self, settings: Settings, models: Mapping[Upstream, Model]) -> None:
        self.models = dict(models)
        slots = {
            upstream: None if isinstance(model, OpenAI) else asyncio.Semaphore(upstream.max_concurrent)
            for upstream, model in models.items()
        }

        def line(serves: str, upstreams: Sequence[Upstream]) -> Line:
            return Line(
                upstreams=tuple(models[upstream] for upstream in upstreams),
                serves=serves,
                price=settings.prices.get(serves),
                places=[slots[upstream] for upstream in upstreams],
                names=[upstream.name for upstream in upstreams],
            )

        self.by_model = {serves: line(serves, settings.alternatives(serves)) for serves in settings.models}
        named = {upstream.name: upstream for upstream in settings.upstreams}
        self.by_role: dict[str, Model] = {
            role: line(named[name].serves, (named[name],)) for role, name in settings.roles.items()
        }

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        known: Mapping[Upstream, Model] | None = None,
        opener: Callable[[Upstream], Model] = open_upstream,
    ) -> Lines:
        """Open what is not open yet; what had been opened is closed again if one of them fails.

        Args:
            settings: what to open.
            known: upstreams that are open already and taken over as they are.
            opener: opens one.

        Raises:
            BadInput: an upstream cannot be opened; the message names it.
        """
        _check_shared(settings)
        models = {upstream: model for upstream, model in (known or {}).items() if upstream in settings.upstreams}
        async with AsyncExitStack() as stack:
            for upstream in settings.upstreams:
                if upstream in models:
                    continue
                try:
                    models[upstream] = await asyncio.to_thread(opener, upstream)
                except (ConfigError, BadInput, ImportError) as err:
                    raise BadInput(f"upstream {upstream.name!r}: {err}") from err
                stack.push_async_callback(models[upstream].close)
            # A reload may change the limits, if all of it can be opened; requests of before go on under theirs.
            for upstream, model in models.items():
                if isinstance(model, OpenAI) and upstream not in (known or {}):
                    model.take_over()
            stack.pop_all()
        return cls(settings, models)

    async def close(self, *, keep: Mapping[Upstream, Model] | None = None) -> None:
        """Close the upstreams, but for those in `keep`."""
        kept = {id(model) for model in (keep or {}).values()}
        for model in self.models.values():
            if id(model) not in kept:
                await model.close()


def _check_shared(settings: Settings) -> None:
    """Refuse two upstreams at one address with other numbers of connections: they share one pool."""
    seen: dict[str, Upstream] = {}
    for upstream in settings.upstreams:
        backend, _, rest = upstream.spec.partition(":")
        if backend != "openai":
            continue
        address, mark, _ = rest.partition("#")
        first = seen.setdefault(address if mark else "", upstream)  # without an address it is OpenAI's own
        if first.max_concurrent != upstream.max_concurrent:
            raise BadInput(
                f"upstreams {first.name!r} and {upstream.name!r} are at one address and share their connections:"
                " give them the same max_concurrent"
            )
