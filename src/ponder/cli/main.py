"""The `ponder` command: its sub-commands, and how errors leave it. Heavy imports wait until a command needs them."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ponder.cli import (
    adapt,
    bench,
    demo,
    doctor,
    exits,
    keys,
    methods,
    models,
    prune,
    record,
    replay,
    report,
    serve,
    solve,
    study,
    train,
    tune,
    verifiers,
)
from ponder.core.errors import PonderError

__all__ = ["app", "main", "ponder"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # an unexpected error shows Python's own traceback
    rich_markup_mode=None,  # plain help is quicker and pipes well
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from ponder._version import __version__

        print(f"ponder {__version__}")
        raise typer.Exit


@app.callback()
def ponder(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Test-time compute, measured: spend a budget on a fixed model, get the best answer that it buys."""


app.command("solve", epilog=solve.EPILOG)(solve.solve)
app.add_typer(methods.app, name="methods")
app.add_typer(verifiers.app, name="verifiers")
app.add_typer(models.app, name="models")
app.add_typer(train.app, name="train")
app.add_typer(study.app, name="study")
app.command("bench", short_help="Run methods over tasks and keep every run and answer as a row.")(bench.bench)
app.add_typer(record.app, name="record", short_help="Sample once into a pool that every method can choose from.")
app.command("replay")(replay.replay)
app.command("tune")(tune.tune)
app.command("prune", short_help="Drop what reasoning traces do not need, for a training set.")(prune.prune)
app.command("report")(report.report)
app.add_typer(adapt.app, name="adapt")
app.command("explain-policy")(tune.explain_policy)
app.command("doctor")(doctor.doctor)
app.command("serve", short_help="Serve models with OpenAI's API, with a method and a budget for each request.")(
    serve.serve
)
app.command("keys")(keys.keys)
app.command("demo", short_help="Answer generated prompts at growing budgets and draw the curves.")(demo.demo)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit; an error of ponder's own is one line, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # text of a model may hold what no encoding has
    try:
        app(args=None if args is None else list(args), prog_name="ponder")
    except PonderError as err:
        from ponder.cli.console import complain

        complain(err)
        sys.exit(exits.of_error(err))
    except OSError as err:
        if err.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        # What was answered is in the store and the trace. Python must not try to write the rest once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"ponder: the output cannot be written: {err.strerror}", file=sys.stderr)
        sys.exit(exits.BAD_INPUT)
