"""`ponder verifiers`: what can judge answers, what it needs of a model, what it costs; one of them in full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ponder.core.registry import Entry

__all__ = ["app", "cost_of", "show_verifier", "verifiers"]

app = typer.Typer(rich_markup_mode=None)
_WIDE = 110  # columns that the table needs


@app.callback(invoke_without_command=True)
def verifiers(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List the verifiers. `ponder verifiers show NAME` prints one in full."""
    if context.invoked_subcommand is not None:
        return
    from ponder.cli.console import columns, show, show_json, table
    from ponder.cli.methods import facts_of
    from ponder.core.registry import verifiers as registered

    entries = registered.entries()
    if as_json:
        show_json([{**facts_of(entry), "cost": cost_of(entry)} for entry in entries])
        return
    width = columns()
    if width is not None and width < _WIDE:
        show(*(part for entry in entries for part in _in_two_lines(entry)))
        return
    rows = table("verifier", "card", "uses gold", "needs", "cost")
    for entry in entries:
        cards = ",".join(map(str, entry.card))
        rows.add_row(entry.name, cards, "oracle" if entry.oracle else "", _needs(entry), cost_of(entry))
    show(rows)


@app.command("show")
def show_verifier(
    name: Annotated[str, typer.Argument(help="Name of the verifier.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a verifier's documentation, settings and needs."""
    from ponder.cli.methods import show_entry
    from ponder.core.registry import verifiers as registered

    show_entry(
        registered.get(name),
        how="--verifier-set KEY=VALUE; in `ponder bench` --verifier NAME:KEY=VALUE,...",
        as_json=as_json,
    )


def cost_of(entry: Entry) -> str:
    """Return what the header says of the cost, its first sentence."""
    import re

    found = re.search(r"^Cost: (.*?)(?:\.(?=\s|\Z)|;|\Z)", entry.header, re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _needs(entry: Entry) -> str:
    from ponder.core.access import Access

    beyond = sorted(level for level in entry.access if level != Access.TEXT)
    asks = ["a model"] if entry.access else []
    return ", ".join([*asks, *beyond, *entry.needs])


def _in_two_lines(entry: Entry) -> Iterator[RenderableType]:
    """Yield a verifier for a terminal in which a table would have no room."""
    from rich.padding import Padding
    from rich.text import Text

    from ponder.cli.methods import idea_of

    facts = [f"card {','.join(map(str, entry.card))}"] if entry.card else []
    facts += ["oracle: uses gold"] if entry.oracle else []
    facts += [f"needs {needs}"] if (needs := _needs(entry)) else []
    yield Text(entry.name, style="bold").append(f"  {'; '.join(facts)}", style="not bold dim")
    yield Padding(f"{idea_of(entry)}. Cost: {cost_of(entry)}", (0, 0, 0, 4))
