"""`ponder models`: the back-ends and what they give; `ponder models get NAME` fetches a model file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ponder.core.registry import Entry

__all__ = ["app", "get", "models"]

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def models(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the back-ends. Says what each gives, and what can be fetched."""
    if context.invoked_subcommand is not None:
        return
    from ponder.cli.console import show, show_json, table
    from ponder.cli.extras import extras
    from ponder.core.registry import models as registered

    known = extras()
    facts: list[dict[str, Any]] = []
    for entry in registered.entries():
        missing = [known[need].install for need in entry.needs if need in known and known[need].missing]
        facts.append(
            {
                "name": entry.name,
                "access": sorted(entry.access),
                "determinism": _determinism(entry),
                "extras": list(entry.needs),
                "install": missing,
                "summary": entry.summary,
            }
        )
    fetchable = _fetchable()
    if as_json:
        show_json({"backends": facts, "fetchable": fetchable})
        return
    rows = table("back-end", "same seed, same text", "installed", "gives")
    for fact in facts:
        rows.add_row(fact["name"], fact["determinism"], ", ".join(fact["install"]) or "yes", ", ".join(fact["access"]))
    files = table("model", "file")
    for name, file in fetchable.items():
        files.add_row(f"llamacpp:{name}", file or f"not here: ponder models get {name}")
    show(rows, "", files)


@app.command("get")
def get(name: Annotated[str, typer.Argument(help="Name of the model, such as smollm2.")]) -> None:
    """Fetch a model into the user's cache, check it, and print its path."""
    from ponder.cli.console import columns, tell
    from ponder.models import fetch

    if columns(stderr=True) is None:
        phases: set[str] = set()

        def report(phase: str, done: int, total: int) -> None:
            if phase not in phases:
                phases.add(phase)
                tell(f"{name}: {phase}")

        file = fetch.get(name, report)
    else:
        file = _get_with_bar(name)
    print(file, flush=True)


def _get_with_bar(name: str) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    from ponder.models import fetch

    shown = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*shown, console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task(f"{name}: check", total=None)

        def report(phase: str, done: int, total: int) -> None:
            bar.update(line, description=f"{name}: {phase}", completed=done, total=total or None)

        return fetch.get(name, report)


def _fetchable() -> dict[str, str | None]:
    """Return the models that can be fetched, each with its path once it is here."""
    from ponder.core.errors import PonderError
    from ponder.models import fetch

    found: dict[str, str | None] = {}
    for name in fetch.SOURCES:
        try:
            found[name] = str(fetch.path(name))
        except PonderError:
            found[name] = None
    return found


# Where it depends on settings or on the server: in words, as the back-ends' own files say.
_DEPENDS = {
    "embedded": "as llamacpp or hf",
    "hf": "exact on a CPU, one at a time, without a prompt cache; else best_effort",
    "llamacpp": "exact with one slot and no prompt cache; else best_effort",
    "openai": "best_effort where the server takes a seed; else none",
    "upstreams": "as the weakest upstream; best_effort with several",
}


def _determinism(entry: Entry) -> str:
    """Return whether equal seeds give equal texts: the class's own word, or what it depends on."""
    declared = getattr(entry.cls, "determinism", None)
    return declared if isinstance(declared, str) else _DEPENDS.get(entry.name, "depends on its settings")
