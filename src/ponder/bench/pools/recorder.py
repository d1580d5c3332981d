"""Sample once: every problem n times, graded, with certainty, log-probabilities and scores of several verifiers.

Runs as a bench job of one method whose candidates are kept whole, so a dead endpoint is waited for, Ctrl-C ends it, and
the same command goes on where it was: answers come from the store of the pool, finished problems are skipped. More
samples, more problems and more verifiers may be asked for later; what is there is not paid for again.
Source: our own (DESIGN §6: gold never reaches a method). Grades are made here, beside the samples; a method that is
replayed sees the samples alone.
Cost: n calls a problem (one more with `greedy`), and the verifiers' own. Needs: a model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ponder.bench.answers import Answers
from ponder.bench.curve import Run
from ponder.bench.job import Grid, Job, Named, Unit
from ponder.bench.opening import Opener
from ponder.bench.pools.folder import PoolFolder, distinct
from ponder.bench.pools.scoring import Judge, Judged, judge
from ponder.bench.progress import Status, Tally
from ponder.bench.runner import Done
from ponder.bench.worker import Brake, Opening, Patience, Worker
from ponder.core.access import Access
from ponder.core.errors import ConfigError, Stopped
from ponder.core.model import Model, Sampling
from ponder.core.tasks import gather_all
from ponder.models.replay import Recorded, facts_of

__all__ = ["Recording", "record_pool"]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What is recorded.

    Attributes:
        model: spelling of the policy.
        tasks: where the problems come from, as in `Job`.
        count: problems of each task, >= 1.
        task_seed: of the problems that are drawn.
        n: samples of each problem, >= 1.
        greedy: whether the greedy answer is recorded too.
        sampling: the law of the samples.
        seed: of the samples.
        judges: verifiers that score the samples.
        roles: spellings of further models by role.
        logprobs: how many likely tokens to ask for at each step; 0 for none, None for one where the model gives them.
    """

    model: str
    tasks: tuple[str, ...]
    count: int = 24
    task_seed: int = 0
    n: int = 16
    greedy: bool = False
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    judges: tuple[Judge, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    logprobs: int | None = None

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError(f"n must be at least 1, got {self.n!r}")
        if self.logprobs is not None and self.logprobs < 0:
            raise ConfigError(f"logprobs must be at least 0, got {self.logprobs!r}")
        if self.sampling.temperature == 0 and (self.n > 1 or self.greedy):
            raise ConfigError("at temperature 0 all samples are the same: record n=1 without the greedy answer")
        labels = [one.label for one in self.judges]
        if len(set(labels)) < len(labels):
            raise ConfigError(f"a verifier is named twice: {', '.join(labels)}")
        for one in self.judges:
            one.make()

    def top(self, model: Model) -> int:
        """Return how many likely tokens are asked for.

        Raises:
            ConfigError: the model does not give them.
        """
        able = Access.TOP_LOGPROBS in model.access
        if self.logprobs and not able:
            raise ConfigError(f"{self.model} gives no log-probabilities of likely tokens: leave out --logprobs")
        return int(able) if self.logprobs is None else self.logprobs

    def job(self, model: Model) -> Job:
        """Return the bench job that draws the samples."""
        top = self.top(model)
        drawn: dict[str, tuple[Any, ...]] = {"n": (self.n,)}
        grids = [
            Grid(method="self_certainty", settings={**drawn, "top_k": (top,)})
            if top
            else Grid(method="self_consistency", settings={**drawn, "early_stop": ("none",)})
        ]
        if self.greedy:
            grids.append(Grid(method="greedy"))
        return Job(
            models=(self.model,),
            methods=tuple(grids),
            tasks=self.tasks,
            count=self.count,
            task_seed=self.task_seed,
            seeds=(self.seed,),
            sampling=self.sampling,
            roles=self.roles,
        )

    def facts(self, model: Model) -> dict[str, Any]:
        """Return what the pool says about how it was made."""
        return {
            "source": "record",
            "model": {"spec": self.model, "name": model.name, "info": facts_of(model.info)},
            "roles": dict(self.roles),
            "sampling": asdict(self.sampling),
            "seed": self.seed,
            "task_seed": self.task_seed,
            "logprobs": self.top(model),
            "verifiers": {one.label: one.to_json() for one in self.judges},
        }


async def record_pool(
    recording: Recording,
    path: Path | str,
    *,
    opener: Opening | None = None,
    problems: Sequence[Named] | None = None,
    concurrency: int = 8,
    brake: Brake | None = None,
    patience: Patience | None = None,
    tell: Callable[[Status], None] | None = None,
) -> Done:
    """Record what is missing of a pool; the counts of the outcome are problems.

    Args:
        recording: what to record.
        path: the pool's folder; one with samples of the same model and law is gone on with.
        opener: opens a model by its spelling; by default `ponder.load`.
        problems: by default those of the recording's tasks, drawn or read.
        concurrency: problems at once, >= 1.
        brake: stops it.
        patience: with dead endpoints.
        tell: called when something has changed.

    Raises:
        ConfigError: the folder holds another pool, or models and settings do not fit together.
        BadInput: a file or folder that cannot be used.
    """
    if concurrency < 1:
        raise ConfigError(f"concurrency must be at least 1, got {concurrency!r}")
    brake, models = brake or Brake(), _Models(opener or Opener())
    policy = models(recording.model)
    try:
        job = recording.job(policy)
        named = distinct(job.problems() if problems is None else problems)
        with PoolFolder(path, recording.facts(policy), named) as folder:
            return await _Session(recording, job, folder, named, models, brake, patience, tell).run(concurrency)
    finally:
        await models.close()


class _Models:
    """Opens each model once, for the samples and for the scores."""

    def __init__(self, opener: Opening) -> None:
        self._opener, self._models = opener, dict[str, Model]()

    def __call__(self, spec: str) -> Model:
        if spec not in self._models:
            self._models[spec] = self._opener(spec)
        return self._models[spec]

    async def close(self) -> None:
        while self._models:
            await self._models.popitem()[1].close()


class _Session:
    def __init__(
        self,
        recording: Recording,
        job: Job,
        folder: PoolFolder,
        problems: Sequence[Named],
        models: _Models,
        brake: Brake,
        patience: Patience | None,
        tell: Callable[[Status], None] | None,
    ) -> None:
        self.recording, self.job, self.folder, self.brake, self.models = recording, job, folder, brake, models
        # Verifiers of earlier sessions score what is new too: a score that some samples lack would bias every choice.
        before = [Judge(**body) for body in folder.facts["verifiers"].values()]
        self.judges = list({one.label: one for one in (*before, *recording.judges)}.values())
        self.roles: dict[str, str] = folder.facts["roles"]
        labels = [one.label for one in self.judges]
        self.left = [
            one
            for one in problems
            if not folder.holds(one.problem.task.id, n=recording.n, greedy=recording.greedy, verifiers=labels)
        ]
        self.tally = Tally(total=len(problems), before=len(problems) - len(self.left), tell=tell)
        self.missing: Counter[str] = Counter()
        self.worker = Worker(job, models, brake=brake, patience=patience, waiting=self.tally.wait)

    async def run(self, concurrency: int) -> Done:
        self.tally.say()
        units = self.job.units(self.left, self.recording.model)

        async def lane() -> None:
            for unit in units:
                if self.brake.pulled or self.worker.gave_up:
                    return
                why = await self._problem(unit)
                if why and not self.brake.pulled:
                    self.missing[why] += 1
                    self.tally.leave_out(1)

        await gather_all([lane] * concurrency)
        self.tally.spend(self.worker.wasted)
        status = self.tally.status()
        stopped: Stopped = "cancelled" if self.brake.pulled else "endpoint" if self.worker.gave_up else "done"
        return Done(
            path=self.folder.path,
            total=status.total,
            done=status.done,
            before=status.before,
            missing=dict(self.missing),
            paid=status.paid,
            seconds=status.seconds,
            stopped=stopped,
            detail=self.brake.why or self.worker.gave_up,
        )

    async def _problem(self, unit: Unit) -> str:
        """Record a problem and return "", or why it is missing."""
        answers, runs = Answers(self.folder.store), list[Run]()
        why = await self.worker.run(unit, answers, runs.append)
        for run in runs:
            self.tally.spend(run.row.paid)
        if why or self.brake.pulled:
            return why or self.brake.why
        failed = [c.error for run in runs for c in run.result.candidates if not c.ok]
        if failed:
            return f"{len(failed)} of {sum(len(run.result.candidates) for run in runs)} samples failed: {failed[0]}"
        records = []
        for run in runs:
            judged = await self._judged(unit, run, answers)
            self.tally.spend(judged.paid)
            if judged.broken:
                return f"the verifiers were broken off: {judged.broken}"
            records += list(_records(run, judged))
        self.folder.write(records)
        self.tally.new += 1
        self.tally.say()
        return ""

    async def _judged(self, unit: Unit, run: Run, answers: Answers) -> Judged:
        roles = {"policy": unit.model, **self.roles}
        return await judge(
            unit.named.problem.task,
            run.result.candidates,
            self.judges,
            models={role: self.models(spec) for role, spec in roles.items()},
            sampling=self.recording.sampling,
            seed=unit.seed,
            store=answers,
            control=self.brake,
        )


def _records(run: Run, judged: Judged) -> Iterator[Recorded]:
    """Yield the samples of a run; the greedy answer is a pool place of its own."""
    for at, candidate in enumerate(run.result.candidates):
        assert candidate.completion is not None  # only failed ones have none
        yield Recorded(
            messages=run.problem.task.messages,
            index=candidate.index,
            completion=replace(candidate.completion, usage=candidate.usage),  # with its price
            greedy=run.point.method == "greedy",
            problem=run.problem.task.id,
            answer=candidate.answer,
            group=run.groups[at],
            grade=run.grades[at],
            scores={label: scores[at] for label, scores in judged.scores.items()},
            judging={label: costs[at] for label, costs in judged.costs.items() if costs[at]},
            counted=candidate.usage.exact,
        )
