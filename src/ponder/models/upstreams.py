"""Several back-ends as one model: the first healthy one answers, the next one takes over when it fails.

Source: our own. Priority is the order given. An upstream that fails rests for a while (doubling up to a limit), and
is tried again when its rest is over, or when all others rest too.
Spelling: `upstreams:SPEC,SPEC`, or an entry with `upstreams = [...]` in an endpoints file.
Cost: an upstream that broke in the middle has been paid for; the tokens that it reported stay reported.
Differs: access is what all upstreams give, since any of them may have to answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ponder.core.access import Access
from ponder.core.errors import ConfigError, EndpointDown, ProviderError, RequestRefused
from ponder.core.model import Completion, Determinism, Model, ModelInfo, Request, Sink, TokenCount
from ponder.core.registry import models

__all__ = ["Health", "Upstreams"]

logger = logging.getLogger(__name__)

# Refusals that say something about the endpoint (key, credit, model name), not about the request.
_ELSEWHERE = (401, 402, 403, 404, 429)


@dataclass(kw_only=True)
class Health:
    """How an upstream fares.

    Attributes:
        name: of the model.
        failures: failures since its last answer.
        rests_until: time on the clock of `Upstreams` before which it is passed over.
        error: its last failure.
    """

    name: str
    failures: int = 0
    rests_until: float = float("-inf")
    error: str = ""


@models("upstreams")
@dataclass(kw_only=True, eq=False)
class Upstreams:
    """Back-ends in order of priority.

    Attributes:
        upstreams: at least one model.
        rest: seconds that an upstream rests after its first failure; doubles with each further one.
        longest_rest: most seconds that it rests.
        clock: seconds that only go forward.
        health: one entry for each upstream.
    """

    upstreams: Sequence[Model]
    rest: float = 5.0
    longest_rest: float = 300.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    name: str = field(init=False)
    info: ModelInfo = field(init=False, repr=False)
    health: tuple[Health, ...] = field(init=False, repr=False)
    access: frozenset[Access] = field(init=False, repr=False)
    determinism: Determinism = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.upstreams:
            raise ConfigError("give at least one upstream")
        if not self.rest >= 0 or not self.longest_rest >= self.rest:
            raise ConfigError("rest must be at least 0 and at most longest_rest")
        self.name = f"upstreams:{','.join(model.name for model in self.upstreams)}"
        self.health = tuple(Health(name=model.name) for model in self.upstreams)
        self.info = _info([model.info for model in self.upstreams])
        self._refresh()

    @classmethod
    def from_spec(cls, rest: str, /, **options: Any) -> Upstreams:
        """Build it from specs with commas between them; options go to `Upstreams`, not to the upstreams.

        Raises:
            ConfigError: a spec that cannot be read.
        """
        opened: list[Model] = []
        for spec in rest.split(","):
            backend, colon, name = spec.strip().partition(":")
            if not colon or not name:
                raise ConfigError(f"cannot read the upstream {spec!r}; write BACKEND:NAME,BACKEND:NAME")
            opened.append(models.get(backend).cls.from_spec(name))  # type: ignore[attr-defined]  # every back-end has it
        try:
            return cls(upstreams=tuple(opened), **options)
        except TypeError as err:
            raise ConfigError(f"upstreams: {err}") from err

    def count(self, request: Request) -> TokenCount:
        """Return the largest count of any upstream; exact only where all agree and are exact."""
        counts = [model.count(request) for model in self.upstreams]
        most = max(count.tokens for count in counts)
        return TokenCount(most, all(count.exact and count.tokens == most for count in counts))

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        """Sample from the first upstream that answers.

        Raises:
            RequestRefused: the request itself is at fault; nobody else is asked.
            ProviderError: the last failure, when all have failed.
        """
        once = None if sink is None else _Once(sink)
        failures: list[ProviderError] = []
        for place in self._order():
            try:
                done = await self.upstreams[place].generate(request, once)
            except ProviderError as err:
                if isinstance(err, RequestRefused) and err.status not in _ELSEWHERE:
                    raise
                self._failed(place, err)
                failures.append(err)
            else:
                self.health[place].failures, self.health[place].rests_until = 0, float("-inf")
                self._refresh()
                return done if once is None else once.settled(done)
        last = failures[-1]
        if len(failures) > 1 and all(isinstance(err, EndpointDown) for err in failures):
            raise EndpointDown(f"none of {len(failures)} upstreams can be reached: {last}") from last
        raise last

    async def close(self) -> None:
        """Close all upstreams."""
        for model in self.upstreams:
            await model.close()

    def _order(self) -> list[int]:
        """Return the healthy ones by priority, then those that rest, the one that wakes first in front."""
        now = self.clock()
        return sorted(
            range(len(self.health)), key=lambda place: (max(0.0, self.health[place].rests_until - now), place)
        )

    def _failed(self, place: int, err: ProviderError) -> None:
        health = self.health[place]
        seconds = min(self.longest_rest, self.rest * 2.0 ** min(health.failures, 30))
        health.failures += 1
        health.error = str(err)
        health.rests_until = self.clock() + max(seconds, err.retry_after or 0.0)
        logger.warning("%s failed and rests for %.0f s: %s", health.name, seconds, err)

    def _refresh(self) -> None:
        self.access = frozenset.intersection(*(model.access for model in self.upstreams))
        kinds = {model.determinism for model in self.upstreams}
        # Even exact upstreams differ from each other.
        several = len(self.upstreams) > 1
        self.determinism = "none" if "none" in kinds else "best_effort" if several or kinds != {"exact"} else "exact"


class _Once:
    """Passes each sibling's end on once: one that came from a failed upstream stands, and is not replaced."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._done: dict[int, Completion] = {}

    def token(self, index: int, text: str, count: int = 1) -> None:
        self._sink.token(index, text, count)

    def prompt(self, index: int, tokens: int) -> None:
        self._sink.prompt(index, tokens)

    def done(self, index: int, completion: Completion) -> None:
        if index not in self._done:
            self._done[index] = completion
            self._sink.done(index, completion)

    def settled(self, done: Sequence[Completion]) -> list[Completion]:
        return [self._done.get(index, completion) for index, completion in enumerate(done)]


def _info(infos: Sequence[ModelInfo]) -> ModelInfo:
    """Return what holds for all: the smallest context, and prices and shape where they are the same."""
    first = infos[0]
    if len(infos) == 1:
        return first
    contexts = [info.context for info in infos if info.context is not None]
    same = all(
        replace(info, fingerprint="", context=None) == replace(first, fingerprint="", context=None) for info in infos
    )
    shared = first if same else ModelInfo(fingerprint="")
    return replace(
        shared, fingerprint="+".join(info.fingerprint for info in infos), context=min(contexts, default=None)
    )
