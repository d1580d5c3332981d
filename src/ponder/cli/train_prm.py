"""`ponder train prm`: fit a light process reward model to a model and to tasks of a kind, and say how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ponder.cli import exits
from ponder.cli.train_run import TASKS, Kept, NoStore, Tasks, draw, run_kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.core.store import Store
    from ponder.tasks.problem import Problem
    from ponder.training.rollouts import Rollouts
    from ponder.verifiers.trained_prm import Head

__all__ = ["prm"]


def prm(
    out: Annotated[Path, typer.Argument(help="Directory to write, for the verifier trained_prm.")],
    tasks: Tasks = None,
    count: Annotated[int, typer.Option(min=2, help="Of each, at most; the last quarter of all is held out.")] = 96,
    model: Annotated[str, typer.Option(help="Model, as BACKEND:NAME; it must score text.")] = "hf:smollm2",
    solutions: Annotated[int, typer.Option(min=1, help="Solutions of each task, the roll-outs of their prefixes.")] = 8,
    k: Annotated[int, typer.Option(min=0, help="More roll-outs of each prefix.")] = 0,
    features: Annotated[
        str, typer.Option(help="What the head may read: hidden (states, if they help) or certainty only.")
    ] = "hidden",
    layers: Annotated[
        str, typer.Option(metavar="L,...", help="Hidden states to choose from.  [default: a few over the depth]")
    ] = "",
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a solution.")] = 48,
    seed: Annotated[int, typer.Option(help="Seed of the tasks and of the samples.")] = 0,
    store: Kept = None,
    no_store: NoStore = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train a head that values steps (PRM). Prefixes are labelled by roll-outs; it is measured on unseen tasks."""
    from ponder.cli.console import show_json

    rollouts = _rollouts(solutions, k, features, layers)
    problems = _problems(tasks or [TASKS], count, seed)
    law = {"max_tokens": max_tokens, "seed": seed}
    head = run_kept(lambda kept: _train(model, rollouts, problems, store=kept, **law), store, keep=not no_store)
    file = head.save(out)
    if as_json:
        show_json({"file": str(file), **head.report})
    else:
        _show(head, file)
    if head.report["stopped"] != "done":
        raise typer.Exit(exits.of_run(head.report["stopped"], answered=True))


def _rollouts(solutions: int, k: int, features: str, layers: str) -> Rollouts:
    from ponder.core.errors import ConfigError
    from ponder.training.rollouts import Rollouts

    if features not in ("certainty", "hidden"):
        raise ConfigError(f"features must be certainty or hidden, got {features!r}")
    try:
        chosen = tuple(int(layer) for layer in layers.split(",")) if layers else ()
    except ValueError:
        raise ConfigError(f"--layers: cannot read {layers!r} as whole numbers with commas between them") from None
    return Rollouts(solutions=solutions, k=k, features=features, layers=chosen)  # type: ignore[arg-type]  # checked


def _problems(specs: Sequence[str], count: int, seed: int) -> list[Problem]:
    """Draw or read the tasks as `ponder bench` does, in turns, so that each kind has its share of those held out."""
    from itertools import zip_longest

    kinds: dict[str, list[Problem]] = {}
    for named in draw(specs, count, seed):
        kinds.setdefault(named.family, []).append(named.problem)
    return [problem for turn in zip_longest(*kinds.values()) for problem in turn if problem is not None]


async def _train(
    model: str, rollouts: Rollouts, problems: Sequence[Problem], *, max_tokens: int, seed: int, store: Store | None
) -> Head:
    """Train; Ctrl-C once ends it with the tasks that are labelled, twice at once."""
    from ponder.cli.console import tell
    from ponder.cli.interrupts import interruptible
    from ponder.core.model import Sampling
    from ponder.core.solve import Control, load
    from ponder.training.prm import train_prm

    control, told = Control(), 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if done * 10 // total > told:
            told = done * 10 // total
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
        f"reads {_read(report['features'], report['layer'])}, chosen on training tasks by cross-entropy: "
        + ", ".join(f"{name} {loss:.4f}" for name, loss in report["tried"].items()),
        *(f"{role}: {spell_usage(Usage(**used))}" for role, used in report["usage"].items()),
        str(file),
    ]
    show(rows, "", *lines)


def _interval(area: dict[str, float] | None) -> str:
    if area is None:
        return "cannot be told: no success or no failure"
    return f"{area['value']:.3f} (95 % interval {area['low']:.3f} to {area['high']:.3f})"


def _read(features: str, layer: int) -> str:
    return features if features == "certainty" else f"certainty and hidden state {layer}"
