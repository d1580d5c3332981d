"""`ponder adapt`: compare adapters at test time on streams, over one's own model or a small reference model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ponder.cli import exits

if TYPE_CHECKING:
    from ponder.bench.adapt_rows import Comparison
    from ponder.bench.studies.page import Study

__all__ = ["app", "bench", "group"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Adapt a classifier to a shifting stream.")

_METHODS = ("source", "batch_norm", "tent", "eata", "sar", "guard+tent")
_STREAMS = ("continual", "mixed", "correlated")
_NAMES, _STREAM = 34, 15  # columns of a terminal: for names of methods, for a stream at a glance


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
            help="A reference model (conv_bn, conv_gn, vit_ln, and these with _digits; vit_ln_smoothed, experts, "
            "two_towers, ecg), or your own function without arguments.",
        ),
    ] = "conv_bn",
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Arrays (.npz) x, y; also domain, clean_x, clean_y, source_x, source_y. Pictures are (N, C, H, W).",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="Repeatable; plug-ins by a plus sign; source runs always.  "
            f"[default: {', '.join(_METHODS)}, and what a reference model is made for, as t3_merging on experts]",
        ),
    ] = None,
    stream: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Repeatable: recorded (the order of your file), continual, mixed, correlated, sorted, label_shift, "
            "recurring, single; gradual, changing (reference models).  "
            f"[default: {', '.join(_STREAMS)}; with --data recorded first]",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Samples a batch.")] = 64,
    samples: Annotated[int | None, typer.Option(min=1, help="Samples of each domain; all by default.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Orders of each stream.")] = 1,
    reset: Annotated[str, typer.Option(help="never, or at each new domain.")] = "never",
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:1, mps, ...; auto takes an accelerator where there is one.")
    ] = "auto",
    out: Annotated[
        Path, typer.Option(help="Folder of the page and the tables; what a former run left there is replaced.")
    ] = Path("adapt-bench"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole comparison as JSON.")] = False,
) -> None:
    """Compare adapters over shifting streams. Errors, gains on the source model, forgetting and cost."""
    from ponder.bench.adapt_bench import check_streams, compare_adapters, read_method
    from ponder.bench.adapt_device import choose_device
    from ponder.bench.adapt_subjects import REFERENCES, read_subject
    from ponder.cli.console import show_json, tell
    from ponder.core.errors import ConfigError

    # What may be wrong is looked at before a model is read or trained.
    chosen = [read_method(text) for text in method or _METHODS]
    if all(worn.name != "source" for worn in chosen):
        chosen.insert(0, read_method("source"))
    streams = list(dict.fromkeys(stream or _STREAMS))
    check_streams(streams)
    if reset not in ("never", "domain"):
        raise ConfigError(f"--reset must be never or domain, got {reset!r}")
    place = choose_device(device)
    _make(out)
    if model in REFERENCES and data is None:
        tell(f"{model} is made here the first time, in a minute or two, and read from the cache after that")
    subject = read_subject(model, data, tell=tell)
    if not stream and subject.recorded:
        streams.insert(0, "recorded")
    if not method:
        chosen += [read_method(name) for name in subject.fitting if name not in _METHODS]
    planned, kept = len({worn.name for worn in chosen}) * len(streams), _Kept(out)
    try:
        compare_adapters(
            subject,
            chosen,
            streams,
            batch=batch,
            samples=samples,
            seeds=range(seeds),
            reset=reset,
            device=place,
            progress=_counter(planned),
            seen=kept,
        )
    except KeyboardInterrupt:
        tell(f"ponder: stopped by Ctrl-C; {kept.rows} of {planned} runs are in {kept.page or 'no file'}")
        if kept.study is None:
            raise typer.Exit(exits.ABORTED) from None
    study = kept.study
    if study is not None:
        show_json(study.data) if as_json else _show(study, kept.page)
    if kept.rows < planned:
        raise typer.Exit(exits.ABORTED)
    if not any(row["runs"] for row in kept.data["rows"]):
        tell("ponder: no method could run on this model; the lines above say why")
        raise typer.Exit(exits.NO_ANSWER)


class _Kept:
    """Writes what is there after each run, so that a kill loses no more than the run that it hits."""

    def __init__(self, out: Path) -> None:
        self.out, self.rows = out, 0
        self.page: Path | None = None
        self.study: Study | None = None
        self.data: Mapping[str, Any] = {"rows": []}

    def __call__(self, found: Comparison) -> None:
        from ponder.bench.adapt_page import adapt_study
        from ponder.bench.adapt_rows import write_tables
        from ponder.bench.studies.page import write_study

        self.data = found.to_dict()
        self.study, self.rows = adapt_study(self.data), len(found.rows)
        self.page = write_study(self.study, self.out)
        write_tables(self.data, self.out)


def _counter(planned: int) -> Callable[[str, str], None]:
    from ponder.cli.console import one_line, tell

    count = 0

    def progress(name: str, on: str) -> None:
        nonlocal count
        count += 1
        tell(one_line(f"{count} of {planned}: {name} on {on}"))

    return progress


def _make(out: Path) -> None:
    import os

    from ponder.core.errors import BadInput

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise BadInput(f"cannot make the folder {str(out)!r}: {err.strerror or err}; choose another --out") from err
    if not os.access(out, os.W_OK | os.X_OK):
        raise BadInput(f"cannot write into {str(out)!r}: choose another --out")


def _narrow(
    head: tuple[str, ...], rows: Sequence[tuple[str, ...]], width: int | None
) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Part a table of streams, one a column, into such as fit: names first in each; None is as wide as it takes."""
    most = len(head) if width is None else max(1, (width - _NAMES) // _STREAM)
    parts = [slice(at, at + most) for at in range(1, len(head), most)]
    return [((head[0], *head[part]), [(row[0], *row[part]) for row in rows]) for part in parts]


def _show(study: Study, page: Path | None) -> None:
    """Print what a terminal of 80 columns holds; the page has the rest."""
    from ponder.bench.adapt_page import BRIEF, brief_cells
    from ponder.cli.console import columns, printable, show, table

    show(printable(f"{study.title}: {' · '.join(study.facts)}"))
    if study.warning:
        show(printable(f"! {study.warning}"))
    found = study.data["rows"]
    for section in study.sections:
        name = next((row["stream"] for row in found if row["stream"].replace("_", " ") == section.title), None)
        show(printable(f"\n{section.title}: {section.note}"))
        cells = [brief_cells(row) for row in found if row["stream"] == name and row["runs"]]
        tables = [(BRIEF, cells)] if name else _narrow(section.tables[0].head, section.tables[0].rows, columns())
        for head, rows in tables:
            if rows:
                shown = table(*head, right=head[1:])
                shown.columns[0].no_wrap, shown.columns[0].overflow = False, "fold"
                for row in rows:
                    shown.add_row(*map(printable, row))
                show(shown)
        for line in section.lines:
            show(printable(f"- {line}"))
    show("\nGain and forgot are points of error: on the source model, and on clean data. ms is for each sample.")
    show(printable(f"Domains, calibration, cost, curves and notes: {page}"))
