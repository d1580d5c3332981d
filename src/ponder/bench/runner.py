"""Run a job into its folder: killed at any moment, the same call goes on without repeating or losing a paid answer.

Problems run side by side; each is a unit of its own, so rows do not depend on how many there are at once, nor on the
order in which they end. What was done is skipped by its key, what was paid for is in the store.
Source: our own (DESIGN §6). Cost: the largest point of each problem, model and seed. Needs: models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ponder.bench.answers import Answers
from ponder.bench.curve import Run
from ponder.bench.job import Job, Named, Unit
from ponder.bench.opening import Opener
from ponder.bench.progress import Status, Tally
from ponder.bench.rows import CandidateRow, Row
from ponder.bench.run_folder import RunFolder
from ponder.bench.traces import pack
from ponder.bench.worker import Brake, Opening, Patience, Worker
from ponder.core.errors import ConfigError, Stopped
from ponder.core.model import Model
from ponder.core.siblings import Progress
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.planning.costs import PriceTable

__all__ = ["Done", "Session", "run_job"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a session did.

    Attributes:
        path: the run folder.
        total: runs of the job.
        done: runs that are in the folder, and how many of them were there
        before: the session.
        missing: why runs are missing, and how many for each reason; the next session tries them again.
        paid: what was sent in this session, by role.
        taken_out: runs that were there and are made again, as the provider had failed to give an answer.
        untraced: why traces were not kept, or "".
        seconds: time of the session.
        stopped: "done", "cancelled", or "endpoint" where one did not come back.
        detail: the same in words.
    """

    path: Path
    total: int
    done: int
    before: int
    missing: Mapping[str, int] = field(default_factory=dict)
    paid: Mapping[str, Usage] = field(default_factory=dict)
    taken_out: int = 0
    untraced: str = ""
    seconds: float = 0.0
    stopped: Stopped = "done"
    detail: str = ""


class Session:
    """What every executor shares: the folder, which it alone writes, and the tally.

    Args:
        job: what is run.
        folder: open.
        problems: of the job.
        tell: called when something has changed.
        traces: keep a trace of each run.
    """

    def __init__(
        self,
        job: Job,
        folder: RunFolder,
        problems: Sequence[Named],
        tell: Callable[[Status], None] | None = None,
        *,
        traces: bool = True,
    ) -> None:
        self.job, self.folder, self.problems, self.traces = job, folder, problems, traces
        total = job.size(len(problems))
        left = sum(len(unit.keys) for spec in job.models for unit in self.units(spec))
        self.tally = Tally(total=total, before=total - left, tell=tell)
        self.missing: Counter[str] = Counter()

    def units(self, spec: str) -> Iterator[Unit]:
        """Yield what is left to run with one policy."""
        return self.job.units(self.problems, spec, self.folder.done)

    def keep(self, run: Run) -> None:
        """Write a run."""
        trace = pack(run.trace.events) if self.traces else None
        self.write(run.row, run.candidates(keep_text=self.job.keep_text), trace)

    def write(self, row: Row, candidates: Sequence[CandidateRow], trace: bytes | None) -> None:
        """Write the rows and the trace of a run."""
        self.folder.write(row, candidates, trace)
        self.tally.add(row)

    def close(self, unit: Unit, why: str) -> None:
        """Note that a unit has ended, and why runs of it are missing."""
        lost = len(unit.without(self.folder.done).keys)
        if lost:
            self.missing[why] += lost
            self.tally.leave_out(lost)

    def done(self, brake: Brake, gave_up: str = "") -> Done:
        """Return what was done."""
        status = self.tally.status()
        stopped: Stopped = "cancelled" if brake.pulled else "endpoint" if gave_up else "done"
        return Done(
            path=self.folder.path,
            total=status.total,
            done=status.done,
            before=status.before,
            missing=dict(self.missing),
            paid=status.paid,
            taken_out=self.folder.taken_out,
            untraced=self.folder.untraced,
            seconds=status.seconds,
            stopped=stopped,
            detail=brake.why or gave_up,
        )


async def run_job(
    job: Job,
    path: Path | str,
    *,
    opener: Opening | None = None,
    problems: Sequence[Named] | None = None,
    concurrency: int = 8,
    brake: Brake | None = None,
    patience: Patience | None = None,
    tell: Callable[[Status], None] | None = None,
    progress: Progress | None = None,
    prices: PriceTable | None = None,
    traces: bool = True,
    retry_failed: bool = False,
) -> Done:
    """Run what is missing of a job in this process.

    Args:
        job: what to run.
        path: the run folder; one with rows of the same job is gone on with.
        opener: opens a model by its spelling; by default `ponder.load`.
        problems: by default the job's own, drawn or read.
        concurrency: problems at once, >= 1. How many calls an endpoint gets at once is its own setting.
        brake: stops it.
        patience: with dead endpoints.
        tell: called when something has changed.
        progress: called with (span, text, tokens) as tokens stream.
        prices: by spelling of the model, for the costs in rows.
        traces: keep a trace of each run.
        retry_failed: make the runs of the folder again that have answers which the provider did not give.

    Raises:
        ConfigError: the folder holds another job, or models and methods do not fit together.
        BadInput: a file or folder that cannot be used.
    """
    if concurrency < 1:
        raise ConfigError(f"concurrency must be at least 1, got {concurrency!r}")
    brake = brake or Brake()
    named = job.problems() if problems is None else problems
    with RunFolder(path, job, named, retry_failed=retry_failed) as folder:
        session = Session(job, folder, named, tell, traces=traces)
        session.tally.say()

        def met(spec: str, model: Model) -> None:
            folder.meet(spec, model.name, model.info.fingerprint, model.info.parameters)

        worker = Worker(
            job,
            opener or Opener(),
            brake=brake,
            patience=patience,
            met=met,
            waiting=session.tally.wait,
            progress=progress,
            prices=prices,
        )
        try:
            for spec in job.models:
                units = session.units(spec)
                first = next(units, None)
                if first is None or brake.pulled or worker.gave_up:
                    continue
                worker.open(spec)
                await _each(_chain(first, units), session, worker, brake, concurrency)
                await worker.close(spec)
        finally:
            await worker.close()
        session.tally.spend(worker.wasted)
        return session.done(brake, worker.gave_up)


async def _each(units: Iterator[Unit], session: Session, worker: Worker, brake: Brake, concurrency: int) -> None:
    """Run units, so many at once; each of the lanes takes the next one."""

    async def lane() -> None:
        for unit in units:
            if brake.pulled or worker.gave_up:
                return
            answers = Answers(session.folder.store)
            why = await worker.run(unit, answers, session.keep)
            if not brake.pulled:
                session.close(unit, why)

    await gather_all([lane] * concurrency)


def _chain(first: T, rest: Iterator[T]) -> Iterator[T]:
    yield first
    yield from rest
