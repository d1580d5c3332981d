"""`ponder train prm`: fit a light process reward model to a model and a task family, and say how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ponder.cli import exits

if TYPE_CHECKING:
    from ponder.core.store import Store
    from ponder.verifiers.trained_prm import Head

__all__ = ["app", "prm", "train"]

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def train() -> None:
    """Train small heads on roll-outs of a model."""


@app.command("prm")
def prm(
    out: Annotated[Path, typer.Argument(help="Directory to write, for the verifier trained_prm.")],
    family: Annotated[str, typer.Option(help="Task family with references.")] = "arithmetic_chains",
    tasks: Annotated[int, typer.Option(min=2, help="Tasks of the family; the last quarter is held out.")] = 80,
    model: Annotated[str, typer.Option(help="Model, as BACKEND:NAME; it must score text.")] = "hf:smollm2",
    solutions: Annotated[int, typer.Option(min=1, help="Solutions of each task.")] = 4,
    k: Annotated[int, typer.Option(min=1, help="Roll-outs of each prefix.")] = 4,
    features: Annotated[str, typer.Option(help="What the head reads: certainty or hidden.")] = "certainty",
    layer: Annotated[int, typer.Option(min=0, help="Which hidden state, with hidden features.")] = 0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a solution.")] = 48,
    seed: Annotated[int, typer.Option(help="Seed of the tasks and of the samples.")] = 0,
    store: Annotated[
        Path | None, typer.Option(help="Response store: what was sampled once is not paid for again.")
    ] = None,
    no_store: Annotated[bool, typer.Option("--no-store", help="Keep no answers.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Label prefixes of sampled solutions by roll-outs, fit a head on them, and measure it on unseen tasks."""
    import asyncio

    from ponder.cli.console import show_json, tell
    from ponder.cli.inputs import open_store

    kept = open_store(store, keep=not no_store)
    try:
        head = asyncio.run(
            _train(model, family, tasks, (solutions, k, features, layer), max_tokens=max_tokens, seed=seed, store=kept)
        )
    except (KeyboardInterrupt, asyncio.CancelledError):
        tell("ponder: aborted; what was sampled is in the store")
        raise typer.Exit(exits.ABORTED) from None
    finally:
        if kept is not None:
            kept.close()
    file = head.save(out)
    if as_json:
        show_json({"file": str(file), **head.report})
    else:
        _show(head, file)
    if head.report["stopped"] != "done":
        raise typer.Exit(exits.of_run(head.report["stopped"], answered=True))


async def _train(
    model: str,
    family: str,
    count: int,
    settings: tuple[int, int, str, int],
    *,
    max_tokens: int,
    seed: int,
    store: Store | None,
) -> Head:
    """Train; Ctrl-C once ends it with the tasks that are labelled, twice at once."""
    from ponder.cli.console import tell
    from ponder.cli.interrupts import interruptible
    from ponder.core import registry
    from ponder.core.errors import ConfigError
    from ponder.core.model import Sampling
    from ponder.core.solve import Control, load
    from ponder.training.prm import train_prm
    from ponder.training.rollouts import Rollouts

    solutions, k, features, layer = settings
    if features not in ("certainty", "hidden"):
        raise ConfigError(f"features must be certainty or hidden, got {features!r}")
    rollouts = Rollouts(solutions=solutions, k=k, features=features, layer=layer)  # type: ignore[arg-type]  # checked
    problems = registry.tasks.get(family).make().generate(count, seed)
    control = Control()

    def progress(done: int, total: int) -> None:
        if done * 10 // total != (done - 1) * 10 // total:
            tell(f"{done} of {total} tasks labelled")

    opened = load(model)
    try:
        with interruptible(control, tell):
            return await train_prm(
                opened,
                problems,
                rollouts=rollouts,
                sampling=Sampling(max_tokens=max_tokens),
                seed=seed,
                store=store,
                control=control,
                progress=progress,
            )
    finally:
        await opened.close()


def _show(head: Head, file: Path) -> None:
    from ponder.cli.console import show, spell_usage, table
    from ponder.core.usage import Usage

    report = head.report
    rows = table("", "tasks", "prefixes", "roll-outs", "mean value", right=("tasks", "prefixes", "roll-outs"))
    for name in ("train", "held_out"):
        part = report[name]
        mean = "-" if part["mean_value"] is None else f"{part['mean_value']:.3f}"
        rows.add_row(name.replace("_", " "), *(str(part[key]) for key in ("tasks", "prefixes", "rollouts")), mean)
    held = report["held_out"]
    lines = [
        f"AUC on held-out tasks: {_interval(held['auc'])}; within a task: {_interval(held['auc_within'])}",
        *(f"{role}: {spell_usage(Usage(**used))}" for role, used in report["usage"].items()),
        str(file),
    ]
    show(rows, "", *lines)


def _interval(area: dict[str, float] | None) -> str:
    if area is None:
        return "cannot be told: no success or no failure"
    return f"{area['value']:.3f} (95 % interval {area['low']:.3f} to {area['high']:.3f})"
