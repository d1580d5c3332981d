"""Runs the units of a job: models opened once, a dead endpoint waited for, a run that it broke made again.

A run that was broken off is no outcome and leaves no row. While an endpoint is dead nothing is sent to it but one
small call after ever longer waits; when it answers, all units that it broke go on, with what the store has.
Source: our own (DESIGN §6). Cost: the units'. Needs: models.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from ponder.bench.answers import Answers
from ponder.bench.curve import Run, run_points
from ponder.bench.job import Job, Unit
from ponder.core import registry
from ponder.core.budget import Meter
from ponder.core.context import check_access
from ponder.core.errors import BadInput, ConfigError, ProviderError
from ponder.core.model import Model, Request, Sampling
from ponder.core.siblings import Progress
from ponder.core.solve import Control
from ponder.core.task import Message
from ponder.core.usage import Usage, add_up
from ponder.planning.costs import PriceTable

__all__ = ["Brake", "Patience", "Worker"]

logger = logging.getLogger(__name__)
T = TypeVar("T")
Opening = Callable[[str], Model]
Found = Literal["there", "back", "gone"]

# Times that a unit may be broken off before it is left out of this session; the next one tries it again. Where its
# endpoint answered in between and the error is the same each time, the unit is to blame, and less is enough.
_TRIES, _SAME = 5, 3


class Brake(Control):
    """Stops many runs at once."""

    def __init__(self) -> None:
        super().__init__()
        self._meters: weakref.WeakSet[Meter] = weakref.WeakSet()
        self._waits: set[asyncio.Timeout] = set()

    @property
    def pulled(self) -> bool:
        """Whether everything is to end."""
        return self._why is not None

    @property
    def why(self) -> str:
        """Why, in words."""
        return "" if self._why is None else str(self._why)

    def cancel(self, why: str = "cancelled by the user") -> None:
        """End all runs now, and those that would start later at once."""
        super().cancel(why)
        assert self._why is not None
        for meter in list(self._meters):
            meter.stop(self._why)
        for scope in self._waits:
            scope.reschedule(asyncio.get_running_loop().time())

    def attach(self, meter: Meter) -> None:
        """Called by `solve`."""
        self._meters.add(meter)
        super().attach(meter)

    async def unless(self, call: Awaitable[T]) -> T | None:
        """Await `call`; None where the brake was pulled first."""
        scope = asyncio.timeout(0 if self.pulled else None)
        self._waits.add(scope)
        try:
            async with scope:
                return await call
        except TimeoutError:
            if scope.expired():
                return None
            raise
        finally:
            self._waits.discard(scope)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How a dead endpoint is waited for.

    Attributes:
        first: seconds before it is tried again; doubles each time, up to
        longest: seconds.
        limit: seconds after which the job ends.
    """

    first: float = 1.0
    longest: float = 60.0
    limit: float = 3600.0


class Worker:
    """Runs units, any number at a time. Use it in one event loop and close it.

    Args:
        job: what the units belong to.
        opener: opens a model by its spelling.
        brake: stops it.
        patience: with dead endpoints.
        met: called with each spelling and the model that it opened; may refuse it.
        waiting: called with a line when an endpoint is waited for, and with "" when it is back.
        progress: called with (span, text, tokens) as tokens stream.
        prices: by spelling of the model, for budgets in dollars and for the costs in rows.

    Attributes:
        gave_up: why the job must end, or "".
        wasted: what runs that were broken off had paid, by role; the answers among it are in the store.
    """

    def __init__(
        self,
        job: Job,
        opener: Opening,
        *,
        brake: Brake | None = None,
        patience: Patience | None = None,
        met: Callable[[str, Model], None] | None = None,
        waiting: Callable[[str], None] | None = None,
        progress: Progress | None = None,
        prices: PriceTable | None = None,
    ) -> None:
        self.job, self.opener, self.prices = job, opener, prices
        self.brake, self.patience = brake or Brake(), patience or Patience()
        self.met, self.waiting, self.progress = met, waiting, progress
        self.gave_up = ""
        self.wasted: dict[str, Usage] = {}
        self._models: dict[str, Model] = {}
        self._gates: dict[str, _Gate] = {}

    def open(self, spec: str) -> dict[str, Model]:
        """Return the models by role with `spec` as the policy, opened where they are not.

        Raises:
            PonderError: one cannot be opened, or does not give what a method needs.
        """
        fresh = spec not in self._gates
        models = {role: self._open(used) for role, used in {"policy": spec, **self.job.roles}.items()}
        if fresh:
            for point in self.job.points(spec):
                entry = registry.strategies.get(point.method)
                check_access(entry, entry.make(**point.settings), models["policy"])
            self._gates[spec] = _Gate(models, self.brake, self.patience, self._say)
        return models

    async def run(self, unit: Unit, answers: Answers, keep: Callable[[Run], None]) -> str:
        """Run a unit to its end.

        Args:
            unit: what to run.
            answers: its part of the response store.
            keep: called with each run as it ends; never with one that was broken off.

        Returns:
            "", or why runs of it are missing.
        """
        names = {"policy": unit.model, **self.job.roles}
        why, before, same = "", "", 0
        for attempt in range(_TRIES):
            models = self.open(unit.model)
            gate = self._gates[unit.model]
            await gate.opened()
            if self.brake.pulled or self.gave_up:
                return self.brake.why or self.gave_up
            done: set[str] = set()

            def tell(run: Run, done: set[str] = done) -> None:
                if not run.broken_off:
                    done.add(run.row.run)
                    keep(run)

            try:
                runs = await run_points(
                    unit.named.problem,
                    unit.points,
                    model=models.pop("policy"),
                    roles=models,
                    names=names,
                    keys=unit.keys,
                    prices=self.prices,
                    store=answers,
                    family=unit.named.family,
                    sampling=self.job.sampling,
                    seed=unit.seed,
                    control=self.brake,
                    progress=self.progress,
                    tell=tell,
                )
            except (BadInput, ConfigError) as err:
                return str(err)  # of this problem: a prompt without room, a reference that is no answer
            unit = unit.without(done)
            if not unit.keys:
                return ""
            broken = next(run.result for run in runs if run.broken_off)
            why = broken.detail
            self.wasted = add_up([self.wasted, broken.paid])
            if broken.stopped == "cancelled":
                return why
            name = unit.named.problem.task.id
            logger.info("%s is broken off (attempt %d of %d): %s", name, attempt + 1, _TRIES, why)
            same = same + 1 if why == before else 1
            before = why
            if same == _SAME:
                return f"broken off {same} times, while the endpoint answered in between: {why}"
            if attempt + 1 == _TRIES:
                break
            found = await gate.wait(why, attempt, of=f"{name}, attempt {attempt + 2} of {_TRIES}")
            if found == "gone":
                self.gave_up = self.gave_up or f"{unit.model} is gone for too long: {why}"
                return self.gave_up
            if found == "back":  # the endpoint was away: no fault of the unit
                before = ""
        return f"broken off {_TRIES} times: {why}"

    async def close(self, spec: str | None = None) -> None:
        """Close a policy, or all models."""
        if spec is None:
            for used in list(self._models):
                await self._models.pop(used).close()
        elif spec not in self.job.roles.values() and spec in self._models:
            await self._models.pop(spec).close()
            del self._gates[spec]

    def _open(self, spec: str) -> Model:
        if spec not in self._models:
            model = self.opener(spec)
            if self.prices is not None:  # a budget in dollars is kept by the model's own prices
                model.info = self.prices.priced(model.info, spec)
            self._models[spec] = model
            if self.met is not None:
                self.met(spec, model)
        return self._models[spec]

    def _say(self, line: str) -> None:
        if self.waiting is not None:
            self.waiting(line)


class _Gate:
    """Holds the units of a policy back while one of its models is dead."""

    def __init__(
        self, models: Mapping[str, Model], brake: Brake, patience: Patience, say: Callable[[str], None]
    ) -> None:
        self._models = {id(model): model for model in models.values()}
        self._brake, self._patience, self._say = brake, patience, say
        self._open = asyncio.Event()
        self._open.set()
        self._found: Found = "there"

    async def opened(self) -> None:
        """Wait until units may run."""
        await self._brake.unless(self._open.wait())

    async def wait(self, why: str, attempt: int, *, of: str) -> Found:
        """Wait until all models answer, and say how they were found.

        Args:
            why: what was seen.
            attempt: how often that unit was broken off before: one that breaks again and again waits longer.
            of: which unit it is, and how often it has been tried, for people.

        Returns:
            "there" where they answered the first call, "back" where they did not, "gone" where patience is over.
        """
        if not self._open.is_set():
            await self.opened()
            return self._found
        self._open.clear()
        self._found = "there"
        loop = asyncio.get_running_loop()
        start = loop.time()
        delay = min(self._patience.longest, self._patience.first * 2.0**attempt)
        try:
            while not self._brake.pulled:
                self._say(f"{why}; asked again in {delay:.3g} s ({of})")
                await self._brake.unless(asyncio.sleep(delay))
                error = await self._brake.unless(self._ask())
                if not error:
                    self._say("")
                    break
                self._found = "back"
                if loop.time() - start > self._patience.limit:
                    self._found = "gone"
                    break
                why, delay = error, min(self._patience.longest, 2 * delay)
            return self._found
        finally:
            self._open.set()

    async def _ask(self) -> str:
        """Return why a model does not answer a small call; "" where all do."""
        request = Request(messages=(Message("user", "Say yes."),), sampling=Sampling(max_tokens=1))
        for model in self._models.values():
            try:
                await model.generate(request)
            except ProviderError as err:
                return str(err)
        return ""
