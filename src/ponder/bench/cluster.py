"""The same job on a Ray cluster: workers run whole problems, the driver alone writes.

Each worker is an actor with the models open once; it sends back the rows of a problem and the answers that it paid
for, and the driver puts them into the run folder. A worker that is lost loses the problem that it was on, which is run
again elsewhere. Answers of earlier sessions are read from the folder's store where a worker can see the file (the same
machine, or a shared disk); elsewhere a problem that was left half done is paid for again.
Source: our own (DESIGN §6). Cost: as `run_job`. Needs: the extra `ray` on every node, and models that they can open.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ponder.bench.answers import Kept, Outbox, ReadOnly
from ponder.bench.curve import Run
from ponder.bench.job import Job, Named, Unit
from ponder.bench.opening import Opener
from ponder.bench.progress import Status
from ponder.bench.rows import CandidateRow, Row
from ponder.bench.run_folder import STORE, RunFolder
from ponder.bench.runner import Done, Session
from ponder.bench.traces import pack
from ponder.bench.worker import Brake, Opening, Patience, Worker
from ponder.core.errors import ConfigError
from ponder.core.model import Model, ModelInfo
from ponder.core.registry import need
from ponder.core.tasks import plain
from ponder.core.usage import Usage
from ponder.planning.costs import PriceTable

__all__ = ["run_on_ray"]

logger = logging.getLogger(__name__)
# What an actor needs of a node beside its memory.
_CPUS = 1


class _Met(NamedTuple):
    """A model that a worker opened."""

    name: str
    fingerprint: str
    parameters: int | None


@dataclass
class _Report:
    """What a worker sends back of one unit."""

    runs: list[tuple[Row, list[CandidateRow], bytes | None]] = field(default_factory=list)
    answers: list[Kept] = field(default_factory=list)
    models: dict[str, _Met] = field(default_factory=dict)
    wasted: Mapping[str, Usage] = field(default_factory=dict)
    why: str = ""
    gave_up: str = ""


class _Remote:
    """The worker's side: an actor, whose methods run in its own event loop."""

    def __init__(
        self,
        job: Job,
        opener: Opening,
        patience: Patience,
        store: str,
        prices: PriceTable | None,
        traces: bool,
    ) -> None:
        self._models: dict[str, _Met] = {}
        self._keep_text, self._store, self._traces = job.keep_text, ReadOnly(store), traces
        self._worker = Worker(job, opener, patience=patience, met=self._met, prices=prices)

    async def run(self, unit: Unit) -> _Report:
        """Run a unit to its end."""
        report = _Report(models=self._models)

        def keep(run: Run) -> None:
            trace = pack(run.trace.events) if self._traces else None
            report.runs.append((run.row, run.candidates(keep_text=self._keep_text), trace))

        box = Outbox(self._store)
        report.why = await self._worker.run(unit, box, keep)
        report.answers, report.gave_up = box.new, self._worker.gave_up
        report.wasted, self._worker.wasted = self._worker.wasted, {}
        return report

    async def ready(self) -> None:
        """Answer once the actor is up."""

    async def close(self) -> None:
        """Close the models."""
        await self._worker.close()

    def _met(self, spec: str, model: Model) -> None:
        self._models[spec] = _Met(model.name, model.info.fingerprint, model.info.parameters)


async def run_on_ray(
    job: Job,
    path: Path | str,
    *,
    address: str = "auto",
    workers: int = 2,
    opener: Opening | None = None,
    problems: Sequence[Named] | None = None,
    concurrency: int = 8,
    brake: Brake | None = None,
    patience: Patience | None = None,
    tell: Callable[[Status], None] | None = None,
    prices: PriceTable | None = None,
    traces: bool = True,
    retry_failed: bool = False,
) -> Done:
    """Run what is missing of a job on a Ray cluster.

    Args:
        job: what to run.
        path: the run folder, on the driver's machine.
        address: of the cluster; "auto" for the one that runs here, "local" to start one.
        workers: actors, >= 1, each of which takes one CPU of a node and holds the models.
        opener: opens a model by its spelling; it is sent to the workers.
        problems: by default the job's own, drawn or read.
        concurrency: problems at once, over all workers, >= `workers` to use them all.
        brake: stops it; what the workers are on is then given up, and paid for again.
        patience: of a worker with dead endpoints.
        tell: called when something has changed.
        prices: by spelling of the model, for the costs in rows.
        traces: keep a trace of each run.
        retry_failed: make the runs of the folder again that have answers which the provider did not give.

    Raises:
        ConfigError: the folder holds another job, models and methods do not fit together, or no cluster is there.
        BadInput: a file or folder that cannot be used.
        MissingExtra: Ray is not installed.
    """
    ray = need("ray", extra="ray", feature="--executor ray")
    if workers < 1 or concurrency < 1:
        raise ConfigError(f"workers and concurrency must be at least 1, got {workers!r} and {concurrency!r}")
    brake = brake or Brake()
    named = job.problems() if problems is None else problems
    with RunFolder(path, job, named, retry_failed=retry_failed) as folder:
        session = Session(job, folder, named, tell, traces=traces)
        session.tally.say()
        todo = deque(unit for spec in job.models for unit in session.units(spec))
        if not todo:
            return session.done(brake)
        mine = _connect(ray, address)
        store = str((folder.path / STORE).absolute())
        arguments = job, opener or Opener(), patience or Patience(), store, prices, traces
        actor = ray.remote(_Remote).options(
            num_cpus=_CPUS, max_restarts=-1, max_concurrency=max(2, -(-concurrency // workers))
        )
        crew = [actor.remote(*arguments) for _ in range(workers)]
        desk = _Desk(ray, session, brake, todo)
        try:
            await desk.serve([crew[lane % workers] for lane in range(max(workers, concurrency))])
        finally:
            for member in crew:
                ray.kill(member)
            if mine:
                ray.shutdown()
        return session.done(brake, desk.gave_up)


class _Desk:
    """The driver's side: hands out units and writes what comes back.

    Attributes:
        gave_up: why the job must end, or "".
    """

    def __init__(self, ray: Any, session: Session, brake: Brake, todo: deque[Unit]) -> None:
        self._ray, self._session, self._brake, self._todo = ray, session, brake, todo
        self._left = len(todo)
        self._over = asyncio.Event()
        self.gave_up = ""

    async def serve(self, lanes: Sequence[Any]) -> None:
        """Keep every lane busy until all units have ended, or the brake is pulled."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._lane(member)) for member in lanes]
                await self._brake.unless(self._over.wait())
                for task in tasks:  # what waits for a worker that does not come back
                    task.cancel()
        except BaseExceptionGroup as group_error:
            raise plain(group_error) from None

    async def _lane(self, member: Any) -> None:
        """Give one actor unit after unit; one whose actor was lost goes back, and the lane waits for it to return."""
        while not self._over.is_set():
            if not self._todo:
                await asyncio.sleep(0.05)  # a unit of a lost worker may come back
                continue
            unit = self._todo.popleft()
            try:
                report = await member.run.remote(unit)
            except self._ray.exceptions.RayActorError as err:
                logger.warning("a worker was lost, its problem is run again: %s", err)
                self._todo.appendleft(unit)
                await self._back(member)
                continue
            except self._ray.exceptions.RayTaskError as err:
                raise err.cause if isinstance(err.cause, Exception) else err from None
            self._take(unit, report)

    async def _back(self, member: Any) -> None:
        while True:
            try:
                await member.ready.remote()
                return
            except self._ray.exceptions.RayActorError:
                await asyncio.sleep(0.5)

    def _take(self, unit: Unit, report: _Report) -> None:
        folder = self._session.folder
        for spec, met in report.models.items():
            folder.meet(spec, *met)
        for key, fingerprint, completion in report.answers:  # before the rows: a row says that all is there
            folder.store.put(key, ModelInfo(fingerprint=fingerprint), completion)
        for row, candidates, trace in report.runs:
            self._session.write(row, candidates, trace)
        self._session.tally.spend(report.wasted)
        self._session.close(unit, report.why)
        self.gave_up = self.gave_up or report.gave_up
        self._left -= 1
        if not self._left or self.gave_up:
            self._over.set()


def _connect(ray: Any, address: str) -> bool:
    """Join the cluster and return whether it was not joined before.

    Raises:
        ConfigError: there is none.
    """
    if ray.is_initialized():
        return False
    host, colon, port = address.rpartition(":")
    try:
        if colon and port.isdigit() and "/" not in host:  # Ray itself tries for minutes, and then ends the process
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=None if address == "local" else address, log_to_driver=False, logging_level=logging.ERROR)
    except OSError as err:
        raise ConfigError(f"there is no Ray cluster at {address!r}: start one with `ray start --head` ({err})") from err
    return True
