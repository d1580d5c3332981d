"""What a method gets to work with: metered models by role, a verifier, answer types, nested runs, the trace.

Source: our own (DESIGN §4). A bare model never reaches a method.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ponder.core import registry
from ponder.core.access import Access
from ponder.core.budget import DISTURBING, Budget, Meter
from ponder.core.candidate import Candidate, Score
from ponder.core.errors import AccessDenied, ConfigError, Interrupted, PonderError, ProviderError, Stopped
from ponder.core.metered import Metered
from ponder.core.model import Model, Sampling
from ponder.core.result import Result
from ponder.core.siblings import Progress
from ponder.core.store import Store
from ponder.core.task import Task
from ponder.core.tasks import plain
from ponder.core.trace import Trace

__all__ = [
    "AnswerType",
    "Context",
    "Grouping",
    "Method",
    "Verifier",
    "check_access",
    "check_verifier",
    "needs_of",
    "perform",
]


class Grouping(Protocol):
    """Groups equal answers as they come in, so that n samples cost no n regroupings."""

    async def add(self, answer: str | None) -> int | None:
        """Return the index of the first answer added that equals this one (its own where it is new); None for None."""


class AnswerType(Protocol):
    """Extracts answers of one type and says which are equal.

    A type may also have a method `grouping()` that returns a fresh `Grouping`; it must agree with `group`.
    """

    def extract(self, text: str) -> str | None:
        """Return the answer in canonical form, or None where there is none."""

    async def group(self, answers: Sequence[str | None]) -> list[int | None]:
        """Return for each answer the index of the first one equal to it; None stays None."""

    async def same(self, left: str, right: str) -> bool:
        """Return whether two answers are equal."""


class Verifier(Protocol):
    """Judges candidates, all of one task at once."""

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Return one score per candidate; one that cannot be given is `Score.missing`."""


class Method(Protocol):
    """A way to spend a budget on one task. Its settings are its fields; run state never lives on it."""

    def calls(self) -> dict[str, int]:
        """Return the most calls by role that these settings can make, a verifier's own apart."""

    async def run(self, task: Task, ctx: Context) -> Result:
        """Spend through `ctx` and return `ctx.result(...)`."""


@dataclass(eq=False, kw_only=True)
class Context:
    """Everything a method may use during one run.

    Attributes:
        models: by role; a missing role falls back to "policy".
        meter: the budget.
        trace: the record, and
        span: where in its tree this run stands.
        seed: of the run.
        sampling: the law that methods sample answers from unless they say otherwise.
        store: response store, or None.
        memory: what this run has drawn, where it counts once however many of its stages draw it (see `remember`).
        acting: the role whose model answers in the place of the policy.
        verifier, verifier_name: what `score` uses, or None.
        minimum: fewest completion tokens that make a clipped call worth sending.
        method, settings: what is running.
        progress: called with (span, text, tokens) as tokens stream.
        starved: the refusal that left a verifier without the calls for some score, once there is one.
        committed: the candidate announced as final, once there is one.
        candidates: everything sampled so far, for runs that end early.
    """

    models: Mapping[str, Model]
    meter: Meter
    trace: Trace
    span: int = 0
    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    store: Store | None = None
    memory: Store | None = None
    acting: str = "policy"
    verifier: Verifier | None = None
    verifier_name: str = ""
    minimum: int = 1
    method: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress | None = None
    starved: Interrupted | None = None
    committed: Candidate | None = None
    candidates: list[Candidate] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def model(self, role: str = "policy") -> Metered:
        """Return the metered model of a role; roles without a model of their own use the policy's."""
        if role == "policy":
            role = self.acting
        return Metered(self.models.get(role, self.models["policy"]), role, self)

    def answers(self, task: Task) -> AnswerType:
        """Return the answer type of a task.

        Raises:
            UnknownName: no such type is registered.
            MissingExtra: it needs an extra that is not installed.
        """
        made: AnswerType = registry.answer_types.get(task.answer).make()
        return made

    async def score(self, task: Task, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return the candidates with the verifier's scores; failed ones are not shown to it and score missing.

        A verifier that returns another number of scores than it was shown candidates has said nothing about any.

        Raises:
            ConfigError: the run has no verifier.
        """
        if self.verifier is None:
            raise ConfigError(f"method {self.method!r} needs a verifier: pass verifier=NAME")
        shown = [candidate for candidate in candidates if candidate.ok]
        given = await self.judged(self.verifier.score(task, shown, self)) if shown else []
        if len(given) != len(shown):
            given = [Score.missing(f"the verifier gave {len(given)} scores to {len(shown)} candidates")] * len(shown)
        scores = iter(given)
        out = []
        for candidate in candidates:
            score = next(scores) if candidate.ok else Score.missing(candidate.error or "no answer")
            self.trace.instant(
                "score", self.span, verifier=self.verifier_name, index=candidate.index, score=score.to_json()
            )
            out.append(candidate.scored(self.verifier_name, score))
        return out

    async def judged(self, scoring: Awaitable[list[Score]]) -> list[Score]:
        """Await what a verifier says, and note whether the budget refused it the calls for some score.

        A verifier turns a refused call into a missing score and goes on; the result says why all the same.
        """
        before = self.meter.refusal()
        scores = await scoring
        refusal = self.meter.refusal()
        if refusal is not before and any(score.value is None and not score.steps for score in scores):
            self.starved = self.starved or refusal
        return scores

    def commit(self, candidate: Candidate) -> None:
        """Announce the final answer before the run has ended, so that surfaces can show it."""
        self.committed = candidate
        self.trace.instant("commit", self.span, index=candidate.index, answer=candidate.answer, text=candidate.text)

    def remember(self) -> None:
        """From now on a sample that this run or one nested in it draws again is the same sample, and is counted once.

        A method that looks at a few samples before it decides what to run then pays for them once.
        """
        if self.memory is None:
            self.memory = Store()

    async def run(
        self,
        method: str,
        task: Task,
        *,
        budget: Budget | None = None,
        seed: int | None = None,
        acting: str = "",
        verifier: str = "",
        judging: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Result:
        """Run another registered method inside this one, under a share of what is left.

        Args:
            method: its registered name.
            task: what to solve.
            budget: limits of its own; the enclosing ones hold as well.
            seed: another seed, where its samples must differ from those of this run.
            acting: role of another model that is to answer in place of the policy.
            verifier: registered name of another verifier than this run's.
            judging: its settings.
            settings: of the method.
        """
        entry = registry.strategies.get(method)
        made: Method = entry.make(**settings)
        acting = acting or self.acting
        if acting not in self.models:
            raise ConfigError(f"there is no model in the role {acting!r}, only in {', '.join(sorted(self.models))}")
        check_access(entry, made, self.models[acting])
        judge = registry.verifiers.get(verifier).make(**(judging or {})) if verifier else self.verifier
        check_verifier(entry, made, judge)
        meter = Meter(budget, parent=self.meter)
        for used in self.models.values():
            meter.check_prices(used.info, used.name)
        return await perform(
            made,
            task,
            replace(
                self,
                meter=meter,
                seed=self.seed if seed is None else seed,
                method=method,
                acting=acting,
                verifier=judge,
                verifier_name=verifier or self.verifier_name,
                starved=None,
                committed=None,
                candidates=[],
                started=time.monotonic(),
            ),
        )

    def result(
        self,
        candidates: Sequence[Candidate],
        *,
        best: int | None,
        answer: str | None = None,
        stopped: Stopped = "done",
        detail: str = "",
    ) -> Result:
        """Build the result of this run.

        Args:
            candidates: all of them, in sample order.
            best: index of the chosen one in `candidates`, or None.
            answer: by default the chosen candidate's extracted answer.
            stopped: why the method ended; a stop of the meter takes precedence, and over "done" that its verifier
                was left without calls.
            detail: the same in words.
        """
        reason = self.meter.reason()
        if reason is None and stopped == "done":
            reason = self.starved
        if reason is not None:
            stopped, detail = reason.reason, str(reason)
        if best is not None and answer is None:
            answer = candidates[best].answer
        repeatable = self.store is not None or all(
            self.models.get(role, self.models["policy"]).determinism == "exact" for role in self.meter.nominal
        )
        disturbed = self.meter.disturbed or stopped in DISTURBING
        self.trace.instant("choose", self.span, index=best, answer=answer, stopped=stopped, detail=detail)
        return Result(
            answer=answer,
            chosen=best,
            candidates=tuple(candidates),
            usage=dict(sorted(self.meter.nominal.items())),
            paid=dict(sorted(self.meter.paid.items())),
            stopped=stopped,
            detail=detail,
            method=self.method,
            settings=self.settings,
            deterministic=repeatable and not disturbed,
            seconds=time.monotonic() - self.started,
            trace_id=self.trace.id,
        )

    def best_so_far(self, why: PonderError, stopped: Stopped) -> Result:
        """Build the result of a run that ended inside the method: what was committed, else the first that is usable."""
        usable = [c for c in self.candidates if c.ok]
        usable.sort(key=lambda c: (c.answer is None, not c.complete, c.index))
        chosen = self.committed or (usable[0] if usable else None)
        best = None if chosen is None else next((i for i, c in enumerate(self.candidates) if c == chosen), None)
        candidates = self.candidates
        if chosen is not None and best is None:
            candidates, best = [*self.candidates, chosen], len(self.candidates)
        return self.result(candidates, best=best, stopped=stopped, detail=str(why))


def check_access(entry: registry.Entry, method: Method, model: Model) -> None:
    """Refuse a method whose needs the model does not meet, naming back-ends that would do.

    A method whose needs depend on its settings has a method `access()`, which takes precedence over its entry's.

    Raises:
        AccessDenied: before anything is spent.
    """
    own = getattr(method, "access", None)
    needed: frozenset[Access] = entry.access if own is None else own()
    missing = sorted(needed - model.access)
    if missing:
        able = [e.name for e in registry.models.entries() if needed <= e.access and e.name != "scripted"]
        would = f"; back-ends that would do: {', '.join(able)}" if able else ""
        raise AccessDenied(f"{entry.name} needs {', '.join(missing)}, which {model.name} does not give{would}")


def needs_of(entry: registry.Entry, method: object) -> tuple[str, ...]:
    """Return what a method needs beside access to its model.

    A method whose needs depend on its settings has a method `needs()`, which takes precedence over its entry's.
    """
    own = getattr(method, "needs", None)
    needed: tuple[str, ...] = entry.needs if own is None else own()
    return needed


def check_verifier(entry: registry.Entry, method: object, verifier: object | None) -> None:
    """Refuse a method that needs a verifier where there is none.

    Raises:
        ConfigError: before anything is spent.
    """
    if verifier is None and "verifier" in needs_of(entry, method):
        known = ", ".join(registry.verifiers.names())
        raise ConfigError(f"method {entry.name!r} needs a verifier: pass verifier=NAME with one of {known}")


async def perform(method: Method, task: Task, ctx: Context) -> Result:
    """Run a method under a context: its span in the trace, its deadline, and an answer whatever ends it."""
    ctx.settings = registry.parameters(method)
    inherited = ctx.memory
    parent, ctx.span = (
        ctx.span,
        ctx.trace.open("run", ctx.span, method=ctx.method, settings=ctx.settings, task=task.id, seed=ctx.seed),
    )
    outcome: dict[str, Any] = {"stopped": "error"}
    try:
        with _deadline(ctx.meter):
            try:
                result = await method.run(task, ctx)
            except Interrupted as why:
                result = ctx.best_so_far(why, why.reason)
            except ProviderError as err:
                result = ctx.best_so_far(err, "endpoint")
            except BaseExceptionGroup as group:
                raise plain(group) from None
        outcome = {"stopped": result.stopped, "answer": result.answer, "chosen": result.chosen}
        return result
    finally:
        if ctx.memory is not None and ctx.memory is not inherited:
            ctx.memory.close()
        usage = {role: used.to_json() for role, used in ctx.meter.nominal.items()}
        paid = {role: used.to_json() for role, used in ctx.meter.paid.items()}
        ctx.trace.close(ctx.span, "run", parent, usage=usage, paid=paid, **outcome)


@contextmanager
def _deadline(meter: Meter) -> Any:
    """Stop the meter when its seconds are over."""
    seconds = meter.budget.seconds
    if seconds is None:
        yield
        return
    why = Interrupted(f"the deadline of {seconds:g} s is over", reason="deadline")
    timer = asyncio.get_running_loop().call_later(seconds, meter.stop, why)
    try:
        yield
    finally:
        timer.cancel()
