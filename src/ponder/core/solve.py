"""The front door: `solve` a task with a method, a model and a budget; `load` a model by name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from ponder.core import registry
from ponder.core.budget import Budget, Meter
from ponder.core.context import Context, Method, Verifier, check_access, check_verifier, perform
from ponder.core.errors import ConfigError, Interrupted
from ponder.core.model import Model, Sampling
from ponder.core.result import Result
from ponder.core.siblings import Progress
from ponder.core.store import Store
from ponder.core.task import Message, Task
from ponder.core.trace import Trace

__all__ = ["Control", "default_method", "load", "solve", "solve_sync"]


class Control:
    """A handle on a run: stop it from outside and still get the best answer so far."""

    def __init__(self) -> None:
        self._meter: Meter | None = None
        self._why: Interrupted | None = None

    def cancel(self, why: str = "cancelled by the user") -> None:
        """End the run now; call it from the run's event loop. Before the run starts, it ends at once."""
        self._why = Interrupted(why, reason="cancelled")
        if self._meter is not None:
            self._meter.stop(self._why)

    def attach(self, meter: Meter) -> None:
        """Called by `solve`."""
        self._meter = meter
        if self._why is not None:
            meter.stop(self._why)


def load(spec: str, **options: Any) -> Model:
    """Open a model by its one spelling, "BACKEND:NAME": "llamacpp:smollm2", "llamacpp:/path/model.gguf", ...

    Args:
        spec: back-end and name (`ponder models` lists the back-ends), or the bare name of an embedded model: then the
            faster back-end for `n` siblings at a time is taken.
        options: of the back-end (slots, threads, base_url, ...).

    Raises:
        ConfigError: no such back-end, or a wrong option.
        MissingExtra: the back-end's extra is not installed.
        BadInput: the model's files are missing or broken.
    """
    backend, _, name = (spec if ":" in spec else f"embedded:{spec}").partition(":")
    if not name:
        known = ", ".join(registry.models.names())
        raise ConfigError(f"cannot read the model {spec!r}; write BACKEND:NAME with a back-end of {known}")
    entry = registry.models.get(backend)
    try:
        opened: Model = entry.cls.from_spec(name, **options)  # type: ignore[attr-defined]  # every back-end has it
    except TypeError as err:
        raise ConfigError(f"model {backend!r}: {err}") from err
    return opened


def default_method(task: Task, verifier: object | None) -> str:
    """Return what is run when no method is named: a vote where answers can be compared, else best-of-N by verifier."""
    if verifier is not None:
        return "best_of_n"
    return "greedy" if task.answer == "text" else "self_consistency"


async def solve(
    task: Task | str | Sequence[Message],
    *,
    model: Model | str,
    method: str | Method | None = None,
    verifier: str | Verifier | None = None,
    budget: Budget | str | None = None,
    seed: int = 0,
    sampling: Sampling | None = None,
    roles: Mapping[str, Model] | None = None,
    store: Store | Path | str | None = None,
    trace: Trace | Path | str | None = None,
    control: Control | None = None,
    progress: Progress | None = None,
    minimum: int = 1,
    watch: Callable[..., None] | None = None,
    **settings: Any,
) -> Result:
    """Spend a budget on a task and return the best answer that it bought.

    Args:
        task: a task, or a prompt (answer type "text"), or messages.
        model: the policy: an open model, or its spelling for `load` (closed afterwards).
        method: registered name or configured method; by default see `default_method`.
        verifier: registered name or object, for methods that need one.
        budget: hard limits, or their text form "tokens=4000,seconds=60".
        seed: same seed, same result (on back-ends that follow seeds, else through the store).
        sampling: the law that answers are sampled from.
        roles: further models by role ("judge", "critic", ...).
        store: response store or its file: no answer is paid for twice.
        trace: trace or its file (JSON lines).
        control: handle for stopping from outside.
        progress: called with (span, text, tokens) as tokens stream.
        minimum: fewest completion tokens that make a clipped call worth sending.
        watch: called with each event of the trace.
        settings: of the method, when it is given by name.

    Returns:
        The result; a run that ends early returns the best so far and says why in `stopped`.

    Raises:
        ConfigError: settings, budget and model do not fit together; nothing was spent.
        BadInput: the prompt or a file cannot be used.
    """
    task = Task.of(task)
    if minimum < 1:
        raise ConfigError(f"minimum must be at least 1, got {minimum!r}")
    if isinstance(budget, str):
        budget = Budget.parse(budget)
    judge, judge_name = _verifier(verifier)
    running, name, entry = _method(method or default_method(task, judge), settings)
    if entry is not None:
        check_verifier(entry, running, judge)
    registry.answer_types.get(task.answer).make()  # a missing extra is said before anything is spent

    opened = load(model) if isinstance(model, str) else model
    try:
        if entry is not None:
            check_access(entry, running, opened)
        meter = Meter(budget)
        models: dict[str, Model] = {"policy": opened, **(roles or {})}
        for used in models.values():
            meter.check_prices(used.info, used.name)
        if control is not None:
            control.attach(meter)
        record = trace if isinstance(trace, Trace) else Trace(trace)
        if watch is not None:
            record.watch(watch)
        kept = Store(store) if isinstance(store, str | os.PathLike) else store
        context = Context(
            models=models,
            meter=meter,
            trace=record,
            seed=seed,
            sampling=sampling or Sampling(),
            store=kept,
            verifier=judge,
            verifier_name=judge_name,
            minimum=minimum,
            method=name,
            progress=progress,
        )
        with closing(kept) if kept is not None and kept is not store else nullcontext():
            try:
                return await perform(running, task, context)
            finally:
                if record is not trace:
                    record.end()
    finally:
        if opened is not model:
            await opened.close()


def solve_sync(task: Task | str | Sequence[Message], **options: Any) -> Result:
    """Blocking form of `solve`, for scripts; inside async code await `solve`.

    Raises:
        ConfigError: called inside a running event loop.
    """
    if _inside_loop():
        raise ConfigError("solve_sync cannot run inside an event loop: write `await solve(...)`")
    return asyncio.run(solve(task, **options))


def _inside_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _verifier(verifier: str | Verifier | None) -> tuple[Verifier | None, str]:
    if isinstance(verifier, str):
        made: Verifier = registry.verifiers.get(verifier).make()
        return made, verifier
    if verifier is None:
        return None, ""
    entry = registry.verifiers.entry_of(verifier)
    return verifier, type(verifier).__name__ if entry is None else entry.name


def _method(method: str | Method, settings: Mapping[str, Any]) -> tuple[Method, str, registry.Entry | None]:
    if isinstance(method, str):
        entry = registry.strategies.get(method)
        made: Method = entry.make(**settings)
        return made, method, entry
    if settings:
        raise ConfigError(f"settings {', '.join(settings)} go with a method given by name")
    found = registry.strategies.entry_of(method)
    return method, type(method).__name__ if found is None else found.name, found
