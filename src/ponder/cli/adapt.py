"""`ponder adapt`: compare adapters at test time on streams, over one's own model or a small reference model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app", "bench", "group"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Adapt a classifier to a shifting stream.")

_METHODS = ("source", "batch_norm", "tent", "eata", "sar", "guard+tent")


@app.callback()
def group() -> None:
    """Adapt a classifier to a shifting stream."""


@app.command("bench")
def bench(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME or MODULE:FUNCTION",
            help="A reference model (conv_bn, conv_gn, vit_ln, and these with _digits; experts, two_towers, ecg), or "
            "your own function.",
        ),
    ] = "conv_bn",
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Arrays (.npz) x, y; also domain, clean_x, clean_y, source_x, source_y."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help=f"Repeatable; plug-ins by a plus sign.  [default: {', '.join(_METHODS)}]",
        ),
    ] = None,
    stream: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Repeatable.  [default: continual, mixed, correlated]")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Samples a batch.")] = 64,
    samples: Annotated[int | None, typer.Option(min=1, help="Samples of each domain; all by default.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Orders of each stream.")] = 1,
    reset: Annotated[str, typer.Option(help="never, or at each new domain.")] = "never",
    out: Annotated[Path, typer.Option(help="Folder of the page and the tables.")] = Path("adapt-bench"),
) -> None:
    """Compare adapters over shifting streams. Errors, gains on the source model, forgetting and cost."""
    from ponder.bench.adapt_bench import compare_adapters, read_method
    from ponder.bench.adapt_page import adapt_study
    from ponder.bench.adapt_subjects import read_subject
    from ponder.bench.studies.page import write_study
    from ponder.cli.console import show, table
    from ponder.core.errors import BadInput

    chosen = [read_method(text) for text in method or _METHODS]
    subject = read_subject(model, data)
    found = compare_adapters(
        subject,
        chosen,
        stream or ["continual", "mixed", "correlated"],
        batch=batch,
        samples=samples,
        seeds=range(seeds),
        reset=reset,
        progress=lambda name, on: typer.echo(f"{on}: {name}", err=True),
    )
    study = adapt_study(found)
    for section in study.sections:
        if section.tables:
            first = section.tables[0]
            rows = table(*first.head)
            for cells in first.rows:
                rows.add_row(*cells)
            show(f"{section.title}: {section.note}", rows)
        show(*section.lines)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise BadInput(f"cannot make the folder {str(out)!r}: {err.strerror or err}") from err
    show(f"page: {write_study(study, out)}")
