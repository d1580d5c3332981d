"""`ponder demo`: the main job on the embedded model, with live progress, tables, curves and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ponder.cli import exits

if TYPE_CHECKING:
    from ponder.bench.demo import Demo
    from ponder.cli.demo_view import View

__all__ = ["demo"]


def demo(
    model: Annotated[str, typer.Option(help="Model, as BACKEND:NAME.")] = "llamacpp:smollm2",
    seed: Annotated[int, typer.Option(help="Seed of the prompts and of the samples.")] = 0,
    out: Annotated[Path, typer.Option(help="Where the report page goes.")] = Path("demo-report.html"),
    prompts: Annotated[
        int | None, typer.Option(min=1, help="Prompts of each kind; by default 12 to 24, chosen by a speed probe.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Most seconds of generation.")] = 240.0,
    rows: Annotated[Path | None, typer.Option(help="Append every run to this file, as JSON lines.")] = None,
) -> None:
    """Answer generated prompts with 1 to 16 samples and show accuracy against tokens."""
    import asyncio
    import os
    from datetime import datetime

    from ponder.bench.report import render_report
    from ponder.cli.console import tell
    from ponder.cli.demo_view import View
    from ponder.core.errors import BadInput

    folder = out.absolute().parent
    if out.is_dir() or not os.access(out if out.exists() else folder, os.W_OK):
        raise BadInput(f"cannot write the report to {str(out)!r}")
    view = View()
    try:
        job = asyncio.run(_run(view, model, seed=seed, prompts=prompts, seconds=seconds, rows=rows))
    except (KeyboardInterrupt, asyncio.CancelledError):
        tell("ponder: aborted")
        raise typer.Exit(exits.ABORTED) from None
    view.show(job)
    if not job.runs:
        raise typer.Exit(exits.of_run(job.stopped, answered=False))
    page = render_report(job, extra=(f"{datetime.now():%Y-%m-%d %H:%M}", *view.facts()))
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as err:
        raise BadInput(f"cannot write the report to {str(out)!r}: {err.strerror or err}") from err
    view.done(out)
    if job.stopped != "deadline":  # with fewer prompts than planned it is still the demo
        raise typer.Exit(exits.of_run(job.stopped, answered=True))


async def _run(view: View, model: str, *, seed: int, prompts: int | None, seconds: float, rows: Path | None) -> Demo:
    """Run the job; Ctrl-C once ends it with the prompts that are finished, twice at once."""
    from ponder.bench.demo import run_demo
    from ponder.cli.console import tell
    from ponder.cli.interrupts import interruptible
    from ponder.core.solve import Control, load

    control = Control()
    with view.live(model), interruptible(control, tell):
        opened = load(model)
        try:
            return await run_demo(
                opened, seed=seed, count=prompts, limit=seconds, rows=rows, control=control, tell=view.tell
            )
        finally:
            await opened.close()
