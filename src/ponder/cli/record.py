"""`ponder record`: sample once into a pool; import the samples of others; score a pool by further verifiers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ponder.cli import exits

if TYPE_CHECKING:
    from ponder.bench.pools.rescoring import Scored
    from ponder.bench.pools.scoring import Judge
    from ponder.core.errors import Stopped
    from ponder.core.model import Model

__all__ = ["app", "bring", "record", "score"]

_MODEL = "llamacpp:smollm2"
_VERIFIER = "NAME[:KEY=VALUE,...]"

app = typer.Typer(invoke_without_command=True, no_args_is_help=False)


@app.callback()
def record(
    ctx: typer.Context,
    model: Annotated[str, typer.Option("--model", "-m", help="The policy.")] = _MODEL,
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="A task family, FORMAT:FILE or FILE, with settings as ?KEY=VALUE&...; repeatable."
            "  [default: multiplication_stories]",
        ),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, help="Problems of each task; at most, where they come from a file.")
    ] = 24,
    task_seed: Annotated[int, typer.Option(help="Seed of the problems.")] = 0,
    n: Annotated[int, typer.Option("-n", min=1, help="Samples of each problem.")] = 16,
    greedy: Annotated[bool, typer.Option("--greedy", help="Record the greedy answer too.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the samples.")] = 0,
    temperature: Annotated[float, typer.Option(min=0, help="Of the samples.")] = 0.8,
    top_p: Annotated[float, typer.Option(help="Nucleus mass of the samples.")] = 0.95,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of one answer.")] = 256,
    logprobs: Annotated[
        int | None,
        typer.Option(
            min=0, help="Likely tokens to keep at each step, 0 for none.  [default: 1 where the model has it]"
        ),
    ] = None,
    verifier: Annotated[
        list[str] | None, typer.Option(metavar=_VERIFIER, help="Scores the samples; repeatable.")
    ] = None,
    judge: Annotated[str | None, typer.Option(metavar="MODEL", help="Model that verifiers ask: --role judge=.")] = None,
    role: Annotated[
        list[str] | None, typer.Option(metavar="ROLE=MODEL", help="Model of a further role; repeatable.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the pool; the same command goes on with it.")
    ] = Path("runs/pool"),
    concurrency: Annotated[
        int, typer.Option(min=1, help="Problems at once; calls at once are the endpoint's own setting.")
    ] = 8,
    model_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An option of the back-end, such as slots=4; repeatable."),
    ] = None,
    endpoints: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML file of named endpoints.")] = None,
) -> None:
    """Sample every problem n times and keep texts, tokens, certainty, scores and grades, to study them for nothing.

    Stop it as you like: the same command goes on where it was, and pays for nothing twice. More samples, problems and
    verifiers may be asked for later. `ponder replay` reads the pool, and so does any command as --model replay:POOL.
    """
    if ctx.invoked_subcommand is not None:
        return
    import asyncio
    from dataclasses import replace

    from ponder.bench.opening import Opener
    from ponder.bench.pools.recorder import Recording, record_pool
    from ponder.bench.worker import Brake
    from ponder.cli import inputs
    from ponder.cli.bench_view import Progress
    from ponder.cli.console import one_line, plural, tell
    from ponder.cli.interrupts import interruptible
    from ponder.core.model import Sampling
    from ponder.core.result import total

    recording = Recording(
        model=model,
        tasks=tuple(tasks or ["multiplication_stories"]),
        count=count,
        task_seed=task_seed,
        n=n,
        greedy=greedy,
        sampling=replace(Sampling(), temperature=temperature, top_p=top_p, max_tokens=max_tokens),
        seed=seed,
        judges=tuple(map(_judge, verifier or [])),
        roles=inputs.pairs([*(role or []), *([f"judge={judge}"] if judge else [])], "--role"),
        logprobs=logprobs,
    )
    opener = Opener(options=inputs.model_options(model_option or []), endpoints=str(endpoints or ""))
    progress, brake = Progress(), Brake()

    async def run() -> Stopped:
        with interruptible(brake, tell):
            done = await record_pool(
                recording, out, opener=opener, concurrency=concurrency, brake=brake, tell=progress.tell
            )
        paid = total(done.paid)
        usd = "" if paid.usd is None else f", ${paid.usd:.6f}"
        tell(
            f"{done.done:,} of {plural(done.total, 'problem')} ({done.before:,} were there) in {done.seconds:.1f} s;"
            f" paid {plural(paid.calls, 'call')}, {paid.tokens:,} tokens{usd}"
        )
        for why, lost in done.missing.items():
            tell(f"missing: {plural(lost, 'problem')}: {one_line(why)}")
        if done.detail:
            tell(f"ended early: {one_line(done.detail)}")
        if done.missing and done.stopped == "done":
            raise typer.Exit(exits.NO_ANSWER)
        return done.stopped

    try:
        with progress.live():
            stopped = asyncio.run(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        tell("ponder: aborted; the same command goes on with it")
        raise typer.Exit(exits.ABORTED) from None
    tell(f"the pool: {out}; `ponder replay {out}` studies it, `--model replay:{out}` runs methods on it")
    raise typer.Exit(exits.of_run(stopped, answered=True))


@app.command("import")
def bring(
    form: Annotated[
        Literal["lm-eval", "inspect", "rows"],
        typer.Argument(
            metavar="FORMAT", help="lm-eval (samples_*.jsonl), inspect (.json, .eval) or rows (.jsonl, ...)."
        ),
    ],
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Logs; rows may name columns: FILE?prompt=question&...")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the pool.")] = Path("runs/pool"),
    answer: Annotated[str, typer.Option(help="Answer type of the prompts.")] = "number",
    grades: Annotated[
        Literal["own", "log"], typer.Option(help="Grade by the references, or take the log's grades.")
    ] = "own",
) -> None:
    """Make a pool of samples that others have drawn."""
    import asyncio
    from itertools import chain
    from urllib.parse import parse_qsl

    from ponder.bench.pools.importing import import_pool
    from ponder.bench.pools.inspect_logs import read_inspect
    from ponder.bench.pools.lm_eval_logs import read_lm_eval
    from ponder.bench.pools.row_logs import PoolColumns, read_rows_of_samples
    from ponder.cli.console import plural, tell
    from ponder.core.errors import ConfigError

    readers = []
    for spec in files:
        file, _, query = spec.partition("?")
        if form == "rows":
            readers.append(read_rows_of_samples(file, PoolColumns.of(dict(parse_qsl(query, keep_blank_values=True)))))
        elif query:
            raise ConfigError(f"the format {form!r} has no column settings: its columns are known")
        else:
            readers.append(read_lm_eval(file) if form == "lm-eval" else read_inspect(file))
    done = asyncio.run(
        import_pool(chain.from_iterable(readers), out, source=form, files=files, answer=answer, grades=grades)
    )
    each = f"{done.fewest}" if done.fewest == done.most else f"{done.fewest} to {done.most}"
    tell(
        f"{plural(done.problems, 'problem')}, {plural(done.samples, 'sample')} ({each} each, {done.graded:,} graded)"
        f" -> {out}; `ponder replay {out}` studies it"
    )


@app.command("score")
def score(
    pool: Annotated[Path, typer.Argument(help="Folder of a pool.")],
    verifier: Annotated[list[str], typer.Option(metavar=_VERIFIER, help="Scores the samples; repeatable.")],
    judge: Annotated[str | None, typer.Option(metavar="MODEL", help="Model that verifiers ask: --role judge=.")] = None,
    role: Annotated[
        list[str] | None, typer.Option(metavar="ROLE=MODEL", help="Model of a further role; repeatable.")
    ] = None,
    endpoints: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML file of named endpoints.")] = None,
) -> None:
    """Add the scores of verifiers to a pool, recorded or imported; nothing is sampled."""
    import asyncio

    from ponder.bench.pools.rescoring import score_pool
    from ponder.bench.worker import Brake
    from ponder.cli import inputs
    from ponder.cli.console import plural, tell
    from ponder.cli.interrupts import interruptible

    judges = [_judge(text) for text in verifier]
    specs = inputs.pairs([*(role or []), *([f"judge={judge}"] if judge else [])], "--role")

    control = Brake()

    async def run() -> Scored:
        models: dict[str, Model] = {}
        try:
            for name, spec in specs.items():
                models[name] = inputs.open_model(spec, endpoints=endpoints)
            with interruptible(control, tell):
                return await score_pool(pool, judges, roles=models, names=specs, control=control)
        finally:
            for opened in models.values():
                await opened.close()

    done = asyncio.run(run())
    tell(f"{plural(done.done, 'problem')} scored by {', '.join(one.label for one in judges)} -> {pool}")
    if done.broken:
        tell(f"ended early: {done.broken}; the same command goes on with it")
        raise typer.Exit(exits.ABORTED if control.pulled else exits.ENDPOINT)


def _judge(text: str) -> Judge:
    """Read "NAME:KEY=VALUE,..."."""
    from ponder.bench.pools.scoring import Judge
    from ponder.cli.inputs import pairs
    from ponder.core.registry import configure, verifiers

    name, _, settings = text.partition(":")
    entry = verifiers.get(name)
    given = pairs([part for part in settings.split(",") if part], f"the settings of {name!r}")
    return Judge(name=name, settings=configure(entry, given))
