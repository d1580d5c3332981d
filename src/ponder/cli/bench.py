"""`ponder bench`: methods x settings x budgets x tasks x seeds x models into a run folder, gone on with at will."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ponder.cli import exits

if TYPE_CHECKING:
    from ponder.bench.job import Grid, Job
    from ponder.bench.opening import Opener
    from ponder.bench.runner import Done
    from ponder.cli.bench_view import Progress

__all__ = ["bench"]

_MODEL = "llamacpp:smollm2"
_GRID = "NAME[:KEY=V1|V2,...]"
_METHODS = ("greedy", "self_consistency", "best_of_n")


def bench(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="MODEL", help=f"The policy; repeatable.  [default: {_MODEL}]"),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="A task family, FORMAT:FILE or FILE, with settings as ?KEY=VALUE&...; repeatable."
            "  [default: multiplication_stories]",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar=_GRID,
            help=f"Method, with values of its settings; repeatable.  [default: {', '.join(_METHODS)}]",
        ),
    ] = None,
    sizes: Annotated[str, typer.Option(metavar="N,...", help="Numbers of samples of methods that take n.")] = "1,2,4,8",
    budget: Annotated[
        list[str] | None,
        typer.Option(metavar="UNIT=N,...", help="Hard limits of a run (`none` for none); repeatable, each is run."),
    ] = None,
    verifier: Annotated[
        list[str] | None,
        typer.Option(metavar=_GRID, help="Of the methods that need one; repeatable.  [default: arithmetic]"),
    ] = None,
    judge: Annotated[str | None, typer.Option(metavar="MODEL", help="Model that verifiers ask: --role judge=.")] = None,
    role: Annotated[
        list[str] | None, typer.Option(metavar="ROLE=MODEL", help="Model of a further role; repeatable.")
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, help="Problems of each task; at most, where they come from a file.")
    ] = 24,
    seed: Annotated[str, typer.Option(metavar="S,...", help="Seeds of the samples; each is a run of its own.")] = "0",
    task_seed: Annotated[int, typer.Option(help="Seed of the problems.")] = 0,
    temperature: Annotated[float, typer.Option(min=0, help="Of the samples.")] = 0.8,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of one answer.")] = 256,
    out: Annotated[Path, typer.Option(help="Run folder; the same command goes on with it.")] = Path("runs/bench"),
    job: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file that says what to run, in place of these options.")
    ] = None,
    price_table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of prices, for costs and budgets in USD.")
    ] = None,
    no_traces: Annotated[bool, typer.Option("--no-traces", help="Keep no trace of each run.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Make runs again in which the provider failed to give an answer.")
    ] = False,
    keep_text: Annotated[bool, typer.Option("--keep-text", help="Keep whole answers in candidates.jsonl.")] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Problems at once; calls at once are the endpoint's own setting.")
    ] = 8,
    executor: Annotated[Literal["local", "ray"], typer.Option(help="Where problems run.")] = "local",
    address: Annotated[str, typer.Option(help="Ray cluster; `local` starts one.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Ray workers, each with the models open.")] = 2,
    model_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the back-end, such as slots=4; repeatable."),
    ] = None,
    endpoints: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML file of named endpoints.")] = None,
) -> None:
    """Run methods over tasks at growing sizes and keep every run and answer as a row.

    Stop it as you like: the same command goes on where it was, and pays for nothing twice. Cells may be added to the
    job of a folder; anything else needs another folder.
    """
    import asyncio

    from ponder.bench.opening import Opener
    from ponder.bench.rows import read_rows
    from ponder.bench.run_folder import ROWS
    from ponder.cli import inputs
    from ponder.cli.bench_view import Progress, show_done, show_rows
    from ponder.cli.console import tell
    from ponder.planning.costs import read_prices

    if job is not None:
        from ponder.bench.job import read_job

        wanted = read_job(job)
    else:
        wanted = _job(
            models=model or [_MODEL],
            tasks=tasks or ["multiplication_stories"],
            methods=method or list(_METHODS),
            sizes=sizes,
            verifiers=verifier or ["arithmetic"],
            budgets=budget or ["none"],
            seeds=seed,
            roles=inputs.pairs([*(role or []), *([f"judge={judge}"] if judge else [])], "--role"),
            count=count,
            task_seed=task_seed,
            law={"temperature": temperature, "max_tokens": max_tokens},
            keep_text=keep_text,
        )
    opener = Opener(options=inputs.model_options(model_option or []), endpoints=str(endpoints or ""))
    table = None if price_table is None else read_prices(price_table)
    progress = Progress()
    cluster = None if executor == "local" else (address, workers)
    try:
        with progress.live():
            done = asyncio.run(
                _run(
                    wanted,
                    out,
                    opener,
                    progress,
                    cluster=cluster,
                    concurrency=concurrency,
                    prices=table,
                    traces=not no_traces,
                    retry_failed=retry_failed,
                )
            )
    except (KeyboardInterrupt, asyncio.CancelledError):
        tell("ponder: aborted; the same command goes on with it")
        raise typer.Exit(exits.ABORTED) from None
    show_done(done)
    rows = read_rows(out / ROWS)
    if rows:
        order = {point.curve: at for spec in wanted.models for at, point in enumerate(wanted.points(spec))}
        show_rows(sorted(rows, key=lambda row: (wanted.models.index(row.model), order[row.curve])))
        tell(f"rows and answers: {out}; `ponder report {out}` draws them, `ponder tune --runs {out}` learns from them")
    if done.stopped == "done" and done.missing:
        raise typer.Exit(exits.NO_ANSWER)
    raise typer.Exit(exits.of_run(done.stopped, answered=True))


async def _run(
    job: Job, out: Path, opener: Opener, progress: Progress, *, cluster: tuple[str, int] | None, **options: Any
) -> Done:
    from ponder.bench.runner import run_job
    from ponder.bench.worker import Brake
    from ponder.cli.console import tell
    from ponder.cli.interrupts import interruptible

    brake = Brake()
    with interruptible(brake, tell):
        if cluster is None:
            return await run_job(job, out, opener=opener, brake=brake, tell=progress.tell, **options)
        from ponder.bench.cluster import run_on_ray

        address, workers = cluster
        return await run_on_ray(
            job, out, address=address, workers=workers, opener=opener, brake=brake, tell=progress.tell, **options
        )


def _job(
    *,
    models: Sequence[str],
    tasks: Sequence[str],
    methods: Sequence[str],
    sizes: str,
    verifiers: Sequence[str],
    budgets: Sequence[str],
    seeds: str,
    law: dict[str, Any],
    **options: Any,
) -> Job:
    from ponder.bench.job import Job
    from ponder.core.model import Sampling

    grids = [grid for text in methods for grid in _grids(text, _numbers(sizes, "--sizes"), verifiers)]
    return Job(
        models=tuple(models),
        methods=tuple(grids),
        tasks=tuple(tasks),
        budgets=tuple("" if text == "none" else text for text in budgets),
        seeds=tuple(_numbers(seeds, "--seed")),
        sampling=replace(Sampling(), **law),
        **options,
    )


def _grids(text: str, sizes: Sequence[int], verifiers: Sequence[str]) -> list[Grid]:
    """Read a method: with its own values of n, or else the sizes, once for each verifier where it needs one."""
    from ponder.bench.job import Grid
    from ponder.core import registry
    from ponder.core.context import needs_of
    from ponder.core.registry import parameters, strategies

    name, values = _component(text, strategies)
    entry = strategies.get(name)
    some = {key: found[0] for key, found in values.items()}
    made = entry.make(**some)
    if "n" in parameters(made) and "n" not in values:
        values["n"] = tuple(dict.fromkeys(sizes))
    if "verifier" not in needs_of(entry, made):
        return [Grid(method=name, settings=values)]
    grids = []
    for judged in verifiers:
        verifier, judging = _component(judged, registry.verifiers)
        single = {key: found[0] for key, found in judging.items()}
        grids.append(Grid(method=name, settings=values, verifier=verifier, judging=single))
    return grids


def _component(text: str, registry: Any) -> tuple[str, dict[str, tuple[Any, ...]]]:
    """Read "NAME:KEY=V1|V2,..."."""
    from ponder.cli.inputs import pairs
    from ponder.core.registry import configure

    name, _, settings = text.partition(":")
    entry = registry.get(name)
    given = pairs([part for part in settings.split(",") if part], f"the settings of {name!r}")
    return name, {
        key: tuple(configure(entry, {key: value})[key] for value in texts.split("|")) for key, texts in given.items()
    }


def _numbers(text: str, option: str) -> list[int]:
    from ponder.core.errors import ConfigError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option}: cannot read {text!r} as whole numbers with commas between them") from None
