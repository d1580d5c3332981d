"""How the commands of `ponder train` run: tasks are drawn, what is sampled is kept, and Ctrl-C loses none of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ponder.cli import exits

if TYPE_CHECKING:
    from ponder.bench.job import Named
    from ponder.core.store import Store

__all__ = ["TASKS", "Kept", "NoStore", "Tasks", "draw", "run_kept"]

T = TypeVar("T")

# Two operations: SmolLM2 gets a third of them right. With three, one in ten is right, most of these by luck, and a head
# learns nothing from so few.
TASKS = "arithmetic_chains?steps=2"

Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--tasks",
        "--family",
        metavar="SPEC",
        help="Tasks with references: a family, FORMAT:FILE or FILE, with settings as ?KEY=VALUE&...; repeatable."
        f"  [default: {TASKS}]",
    ),
]
Kept = Annotated[Path | None, typer.Option(help="Response store: what was sampled once is not paid for again.")]
NoStore = Annotated[bool, typer.Option("--no-store", help="Keep no answers.")]


def draw(specs: Sequence[str], count: int, seed: int) -> list[Named]:
    """Draw or read tasks as `ponder bench` does, at most `count` of each kind."""
    from ponder.bench.job import Grid, Job

    job = Job(models=("none",), methods=(Grid(method="greedy"),), tasks=tuple(specs), count=count, task_seed=seed)
    return job.problems()


def run_kept(work: Callable[[Store | None], Coroutine[Any, Any, T]], store: Path | None, *, keep: bool) -> T:
    """Work with a response store, which is closed in the end.

    Args:
        work: is given the store, or None for none; the first Ctrl-C is its own to take.
        store: file asked for; None for the default one.
        keep: False for none at all.

    Raises:
        typer.Exit: the work was aborted.
    """
    import asyncio

    from ponder.cli.console import tell
    from ponder.cli.inputs import open_store

    kept = open_store(store, keep=keep)
    try:
        return asyncio.run(work(kept))
    except (KeyboardInterrupt, asyncio.CancelledError):
        tell("ponder: aborted; what was sampled is in the store")
        raise typer.Exit(exits.ABORTED) from None
    finally:
        if kept is not None:
            kept.close()
