"""`ponder report`: one page about recorded runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUNS...", help="Folders of runs or of `ponder adapt bench`, or files of rows."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The page.")] = Path("report.html"),
    figures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the pictures here too, each as a file of its own.")
    ] = None,
    png: Annotated[bool, typer.Option("--png", help="As PNG; else SVG.")] = False,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown too.")] = None,
    traces: Annotated[int, typer.Option(min=0, help="Runs of a curve that are shown in detail.")] = 3,
    family: Annotated[list[str] | None, typer.Option(help="Only this task family; repeatable.")] = None,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
) -> None:
    """Write the report of recorded runs. It has curves, what pays, difficulty, costs by role, laws and prompts."""
    from dataclasses import replace

    from ponder.bench.adapt_report import read_comparisons, with_comparisons
    from ponder.bench.picture_files import write_pictures
    from ponder.bench.recorded_runs import read_runs
    from ponder.bench.report_sections import front_section, laws_section, metrics_section
    from ponder.bench.run_report import run_report
    from ponder.bench.studies.page import render_markdown, render_page
    from ponder.cli.console import plural, tell
    from ponder.core.errors import BadInput

    adapted = read_comparisons(runs)
    found = read_runs([path for path in runs if path not in adapted])
    if family:
        found = replace(found, rows=tuple(row for row in found.rows if row.family in family))
    more = (front_section, metrics_section, laws_section)
    only = len(adapted) == len(runs)
    told = None if only else run_report(found, more=more, traces=traces, seed=seed)
    study = with_comparisons(told, list(adapted.values()))
    try:
        out.write_text(render_page(study), encoding="utf-8")
        if markdown is not None:
            markdown.write_text(render_markdown(study), encoding="utf-8")
    except OSError as err:
        raise BadInput(f"cannot write the report: {err}") from err
    counted = len(found.rows) + sum(len(row["runs"]) for data in adapted.values() for row in data["rows"])
    tell(f"{plural(counted, 'run')} -> {out}")
    if figures is not None:
        tell(f"{plural(len(write_pictures(study, figures, png=png)), 'picture')} -> {figures}")
