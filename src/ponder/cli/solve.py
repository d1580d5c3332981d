"""`ponder solve`: one prompt under a budget; the answer alone on standard output, all else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ponder.cli import exits

if TYPE_CHECKING:
    from ponder.cli.estimate import Estimate
    from ponder.cli.live_tree import LiveTree
    from ponder.core.budget import Budget
    from ponder.core.model import Model, Sampling
    from ponder.core.registry import Entry
    from ponder.core.result import Result
    from ponder.core.task import Task

__all__ = ["EPILOG", "Job", "solve"]

EPILOG = f"\b\nExit codes:\n{exits.explain()}"


def solve(
    prompt: Annotated[
        str | None, typer.Argument(help="The prompt; - reads it from standard input.", show_default=False)
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Read the prompt from this file (UTF-8).")] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="BACKEND:NAME (see `ponder models`), or a name in --endpoints.")
    ] = "llamacpp:smollm2",
    method: Annotated[
        str | None,
        typer.Option(
            help="See `ponder methods`. By default best_of_n with a verifier, a vote for answers that can be compared,"
            " else greedy.",
            show_default=False,
        ),
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the method; repeatable.")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", "-n", help="Samples: short for --set n=N.")] = None,
    answer: Annotated[str, typer.Option(help="Type of the answer: number, choice, text, json, math, exact.")] = "text",
    verifier: Annotated[str | None, typer.Option(metavar="NAME", help="Judges the candidates.")] = None,
    verifier_setting: Annotated[
        list[str] | None,
        typer.Option("--verifier-set", metavar="KEY=VALUE", help="A setting of the verifier; repeatable."),
    ] = None,
    judge: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Model that judges; without --verifier it is the verifier.")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option(metavar="ROLE=MODEL", help="Model of a further role; repeatable.")
    ] = None,
    budget: Annotated[
        str, typer.Option(metavar="UNIT=N,...", help="Hard limits: tokens=4000,seconds=60; also calls, usd, flops.")
    ] = "",
    price_table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of prices, for budgets and costs in USD.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same answer.")] = 0,
    temperature: Annotated[float | None, typer.Option(help="Of the samples.  [default: 0.8]")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Most tokens of one answer.  [default: 512]")] = None,
    model_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the back-end, such as slots=4; repeatable."),
    ] = None,
    endpoints: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML file of named endpoints.")] = None,
    store: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep answers here.  [default: in the user's cache]")
    ] = None,
    no_store: Annotated[bool, typer.Option("--no-store", help="Neither use nor keep stored answers.")] = False,
    trace: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every event, as JSON lines.")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Say what it may cost and spend nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the answer.")] = False,
) -> None:
    """Answer a prompt with a method, a model and a budget.

    The answer alone goes to standard output, so that it can be piped; progress and cost go to standard error.
    """
    from ponder.cli import inputs
    from ponder.cli.console import method_text, show_json
    from ponder.core import registry
    from ponder.core.budget import Budget
    from ponder.core.model import Sampling
    from ponder.core.task import Task

    law: dict[str, Any] = {"temperature": temperature, "max_tokens": max_tokens}
    task = Task.of(inputs.read_prompt(prompt, file), answer=answer)
    judged = verifier or ("judge" if judge is not None else None)
    entry, settings = _choose(task, method, setting or [], n, verifier=judged)
    judging = _judging(judged, verifier_setting or [])
    job = Job(
        task=task,
        model=model,
        options=inputs.model_options(model_option or []),
        roles={**inputs.pairs(role or [], "--role"), **({"judge": judge} if judge not in (None, model) else {})},
        endpoints=endpoints,
        prices=price_table,
        entry=entry,
        settings=settings,
        verifier=judged,
        judging=judging,
        budget=Budget.parse(budget),
        seed=seed,
        sampling=replace(Sampling(), **{name: value for name, value in law.items() if value is not None}),
        store=store,
        keep=not no_store,
        trace=trace,
        quiet=quiet,
    )
    if estimate:
        made = job.estimate()
        if as_json:
            show_json(made.to_json())
        else:
            made.show(f"{method_text(entry.name, registry.parameters(entry.make(**settings)))} on {model}")
        return
    result = job.run()
    raise typer.Exit(_show(job, result, as_json=as_json))


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the command line asks for, checked as far as that goes without opening a model.

    Attributes:
        task: the prompt with its answer type.
        model, options, roles, endpoints, prices: which models to open, and how.
        entry, settings: the method.
        verifier, judging: name of the verifier, or None, and its settings.
        budget, seed, sampling, trace: as `ponder.solve` takes them.
        store, keep: the response store; `keep` False for none.
        quiet: nothing but the answer.
    """

    task: Task
    model: str
    options: Mapping[str, Any]
    roles: Mapping[str, str]
    endpoints: Path | None
    prices: Path | None
    entry: Entry
    settings: Mapping[str, Any]
    verifier: str | None
    judging: Mapping[str, Any]
    budget: Budget
    seed: int
    sampling: Sampling
    store: Path | None
    keep: bool
    trace: Path | None
    quiet: bool

    def run(self) -> Result:
        """Spend, drawing the live tree where standard error is a terminal."""
        import asyncio
        from contextlib import nullcontext

        from ponder.cli.console import columns, tell
        from ponder.cli.live_tree import LiveTree

        tree = LiveTree(f"loading {self.model}")
        drawn = not self.quiet and columns(stderr=True) is not None
        try:
            with tree.live() if drawn else nullcontext():
                return asyncio.run(self._run(tree, say=not drawn and not self.quiet))
        except (KeyboardInterrupt, asyncio.CancelledError):
            tell("ponder: aborted")
            raise typer.Exit(exits.ABORTED) from None

    async def _run(self, tree: LiveTree, *, say: bool) -> Result:
        from contextlib import AsyncExitStack, closing

        from ponder.cli import inputs
        from ponder.cli.console import tell
        from ponder.cli.interrupts import interruptible
        from ponder.core import registry
        from ponder.core.solve import Control, solve

        async with AsyncExitStack() as stack:
            models = await self._open(stack)
            tree.headline = f"{models['policy'].name}, seed {self.seed}"
            kept = inputs.open_store(self.store, keep=self.keep)
            if kept is not None:
                stack.enter_context(closing(kept))
            control = Control()

            def told(line: str) -> None:
                tree.note = line
                if say:
                    tell(f"ponder: {line}")

            stack.enter_context(interruptible(control, told))
            result = await solve(
                self.task,
                model=models.pop("policy"),
                method=self.entry.make(**self.settings),
                verifier=None if self.verifier is None else registry.verifiers.get(self.verifier).make(**self.judging),
                budget=self.budget,
                seed=self.seed,
                sampling=self.sampling,
                roles=models,
                store=kept,
                trace=self.trace,
                control=control,
                progress=tree.progress,
                watch=tree.watch,
            )
            tree.finish(result)
            return result

    def estimate(self) -> Estimate:
        """Say what the run may cost; makes no call."""
        import asyncio

        return asyncio.run(self._estimate())

    async def _estimate(self) -> Estimate:
        from contextlib import AsyncExitStack, closing

        from ponder.cli import inputs
        from ponder.cli.estimate import estimate
        from ponder.core import registry
        from ponder.core.budget import Meter
        from ponder.core.context import check_access, needs_of
        from ponder.core.errors import ConfigError

        method = self.entry.make(**self.settings)
        if not hasattr(method, "calls"):
            raise ConfigError(f"method {self.entry.name!r} does not say how many calls it makes")
        calls: dict[str, int] = dict(method.calls())
        judged = self.verifier is not None and "verifier" in needs_of(self.entry, method)
        if judged and registry.verifiers.get(str(self.verifier)).access:  # it asks a model about each candidate
            calls["judge"] = calls.get("judge", 0) + calls["policy"]
        async with AsyncExitStack() as stack:
            models = await self._open(stack)
            check_access(self.entry, method, models["policy"])
            for model in models.values():
                Meter(self.budget).check_prices(model.info, model.name)
            there = self.keep and (self.store or inputs.default_store()).is_file()
            kept = inputs.open_store(self.store, keep=True) if there else None
            if kept is not None:
                stack.enter_context(closing(kept))
            return estimate(
                self.task,
                calls,
                models=models,
                sampling=self.sampling,
                budget=self.budget,
                store=kept,
                rereads=not {*self.entry.tags.get("what", ())} <= {"single", "parallel"},
            )

    async def _open(self, stack: Any) -> dict[str, Model]:
        """Open the models by role; `stack` closes them."""
        from ponder.cli.inputs import open_model
        from ponder.core.errors import ConfigError
        from ponder.planning.costs import read_prices

        if "policy" in self.roles:
            raise ConfigError("the policy is --model, not a further role")
        prices = None if self.prices is None else read_prices(self.prices)
        models: dict[str, Model] = {}
        for name, spec in {"policy": self.model, **self.roles}.items():
            options = self.options if name == "policy" else None
            models[name] = open_model(spec, options=options, endpoints=self.endpoints, prices=prices)
            stack.push_async_callback(models[name].close)
        return models


def _judging(verifier: str | None, texts: list[str]) -> dict[str, Any]:
    """Return the verifier's settings.

    Raises:
        ConfigError: settings that it does not have, or none to give them to.
    """
    from ponder.cli.inputs import pairs
    from ponder.core import registry
    from ponder.core.errors import ConfigError

    given = pairs(texts, "--verifier-set")
    if verifier is None:
        if given:
            raise ConfigError("--verifier-set needs --verifier NAME")
        return {}
    entry = registry.verifiers.get(verifier)
    settings = registry.configure(entry, given)
    entry.make(**settings)
    return settings


def _choose(
    task: Task, method: str | None, texts: list[str], n: int | None, *, verifier: str | None
) -> tuple[Entry, dict[str, Any]]:
    """Return the method and its settings.

    Raises:
        ConfigError: unknown names, or settings that the method does not have.
    """
    from ponder.cli.inputs import pairs
    from ponder.core import registry
    from ponder.core.context import needs_of
    from ponder.core.errors import ConfigError
    from ponder.core.solve import default_method

    registry.answer_types.get(task.answer)
    if verifier is not None:
        registry.verifiers.get(verifier)
    given = pairs(texts, "--set")
    if n is not None:
        if "n" in given:
            raise ConfigError("n is given twice, with --n and with --set")
        given["n"] = str(n)
    entry = registry.strategies.get(method or default_method(task, verifier))
    if method is None and entry.name == "greedy" and "n" in given:
        raise ConfigError(
            "several samples of free text need something to choose by: --verifier NAME, --judge MODEL, an --answer type"
            " that can be compared, or --method NAME"
        )
    settings = registry.configure(entry, given)
    made = entry.make(**settings)  # wrong values are said before a model is opened
    if "verifier" in needs_of(entry, made) and verifier is None:
        known = ", ".join(registry.verifiers.names())
        raise ConfigError(f"method {entry.name!r} needs a verifier: --verifier NAME with one of {known}")
    return entry, settings


def _show(job: Job, result: Result, *, as_json: bool) -> int:
    """Print a result, the answer last, and return the exit code."""
    from ponder.cli.console import cost_lines, one_line, plural, printable, show_json, tell

    if not job.quiet:
        for line in cost_lines(result, model=job.model):
            tell(line)
    answer = result.answer
    if answer is None and not as_json:
        texts = [one_line(candidate.text) for candidate in result.candidates if candidate.text]
        example = f", such as {texts[0][:120]!r}" if texts else ""
        tell(f"ponder: no answer of the type {job.task.answer!r} in {plural(len(texts), 'text')}{example}")
    if as_json:
        show_json(result.to_json())
    elif answer is not None:
        if job.task.answer == "text" and result.text:
            answer = result.text.strip()  # its answer has the line breaks folded, for comparison
        print(printable(answer) if sys.stdout.isatty() else answer, flush=True)
    return exits.of_run(result.stopped, answered=answer is not None)
