"""`ponder methods`: the catalogue, one method in full, and the 65 papers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ponder.core.registry import Entry

__all__ = ["Setting", "app", "facts_of", "idea_of", "methods", "settings_of", "show_entry", "show_method"]

app = typer.Typer(rich_markup_mode=None)
_Words = Annotated[
    list[str] | None,
    typer.Option(metavar="TAG", help="Only methods with this tag of the survey (card 63); repeatable."),
]
_WIDE = 110  # columns that the table of methods needs


@app.callback(invoke_without_command=True)
def methods(
    context: typer.Context,
    what: _Words = None,
    how: _Words = None,
    where: _Words = None,
    how_well: _Words = None,
    papers: Annotated[
        bool, typer.Option("--papers", help="List the 65 papers instead, and which of them work.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List methods and adapters. Tags choose among them.

    `ponder methods show NAME` prints one in full, by its own name or by its paper's.
    """
    if context.invoked_subcommand is not None:
        return
    if papers:
        _papers(as_json=as_json)
        return
    from ponder.cli.console import show, show_json
    from ponder.core.registry import adapters, strategies

    wanted = {"what": what or [], "how": how or [], "where": where or [], "how_well": how_well or []}
    entries = _tagged([*strategies.entries(), *adapters.entries()], wanted)
    if as_json:
        show_json([facts_of(entry) for entry in entries])
        return
    texts, classifiers = ([entry for entry in entries if entry.kind == kind] for kind in ("method", "adapter"))
    if texts:
        show(*_listed("method", texts))
    if classifiers:
        show(*([""] if texts else []), "Adapters of classifiers, for `ponder adapt bench`:")
        show(*_listed("adapter", classifiers))


def _listed(kind: str, entries: Sequence[Entry]) -> Iterator[RenderableType]:
    """Yield a table of components, or two lines for each where a table would not fit."""
    from ponder.cli.console import columns, table

    width = columns()
    if width is not None and width < _WIDE:
        for entry in entries:
            yield from _in_two_lines(entry)
        return
    rows = table(kind, "card", "fidelity", "needs", "idea")
    for entry in entries:
        cards = ",".join(map(str, entry.card))
        rows.add_row(entry.name, cards, entry.fidelity, ", ".join(_needs(entry)), idea_of(entry))
    yield rows


def _tagged(entries: Sequence[Entry], wanted: Mapping[str, Sequence[str]]) -> list[Entry]:
    """Return the entries that carry every wanted tag.

    Raises:
        ConfigError: a word that no component can carry.
    """
    from ponder.core.errors import ConfigError
    from ponder.core.taxonomy import AXES, matches

    for axis, words in wanted.items():
        for word in words:
            if word not in AXES[axis]:
                raise ConfigError(f"no tag {word!r} on the axis {axis!r}: there are {', '.join(sorted(AXES[axis]))}")
    found = [entry for entry in entries if matches(entry.tags, wanted)]
    if not found:
        raise ConfigError("no method carries all of these tags: ask for fewer")
    return found


def _in_two_lines(entry: Entry) -> Iterator[RenderableType]:
    """Yield a method for a terminal in which a table would have no room for its idea."""
    from rich.padding import Padding
    from rich.text import Text

    facts = [f"card {','.join(map(str, entry.card))}"] if entry.card else []
    facts.append(entry.fidelity)
    if needs := _needs(entry):
        facts.append(f"needs {', '.join(needs)}")
    yield Text(entry.name, style="bold").append(f"  {'; '.join(facts)}", style="not bold dim")
    yield Padding(idea_of(entry), (0, 0, 0, 4))


@app.command("show")
def show_method(
    name: Annotated[str, typer.Argument(help="Name of the method or adapter, or of its paper.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a method's or an adapter's documentation, settings and needs."""
    from ponder.cli.console import show
    from ponder.cli.methods_found import HOW, find_component, same_paper

    entry = find_component(name)
    show_entry(entry, how=HOW[entry.kind], as_json=as_json)
    if not as_json and (others := same_paper(entry)):
        show("", f"Of the same paper: {', '.join(others)}.")


def show_entry(entry: Entry, *, how: str, as_json: bool) -> None:
    """Print a component in full.

    Args:
        entry: of the component.
        how: its settings are given on a command line.
        as_json: as JSON.
    """
    from rich.text import Text

    from ponder.cli.console import show, show_json, table

    if as_json:
        show_json({**facts_of(entry), "header": entry.header})
        return
    facts = table("", "")
    facts.show_header = False
    facts.add_row("kind", entry.kind)
    facts.add_row("fidelity", _FIDELITY[entry.fidelity])
    facts.add_row("source", entry.paper or "our own")
    if entry.card:
        facts.add_row("cards", ", ".join(map(str, entry.card)))
    facts.add_row("access", ", ".join(sorted(entry.access)) or "none: it asks no model")
    if entry.oracle:
        facts.add_row("oracle", "yes: it uses gold, and is printed apart")
    if entry.needs:
        facts.add_row("needs", ", ".join(entry.needs))
    for tag, values in entry.tags.items():
        facts.add_row(tag.replace("_", " "), ", ".join(values))
    facts.add_row("since", entry.since)
    settings = table("setting", "default", "values", "meaning", right=("default",))
    for setting in settings_of(entry):
        settings.add_row(f"  {setting.name}", setting.default, setting.values, setting.meaning)
    shown = (Text("Settings: none"),) if not settings.row_count else (Text(f"Settings ({how})"), settings)
    show(Text(entry.name, style="bold"), "", _flowing(entry.header), "", *shown, "", facts)


_FIDELITY = {
    "paper": "paper: follows the paper",
    "code": "code: follows the authors' code",
    "reconstructed": "reconstructed: from abstracts or notes, not the paper's result",
    "ours": "ours: no paper behind it",
}


def _flowing(header: str) -> str:
    """Return a header for the width at hand: its sections and list items keep their lines, the rest flows."""
    import re

    return re.sub(r"(?<=\S)\n(?=[^\s\d-])(?![A-Z][a-z]+( [a-z]+)?: )", " ", header)


class Setting(NamedTuple):
    """One setting of a method, as the catalogue shows it."""

    name: str
    values: str
    default: str
    meaning: str


def settings_of(entry: Entry) -> list[Setting]:
    """Return the settings of a component with their types, defaults and documentation."""
    import dataclasses
    import typing

    if not dataclasses.is_dataclass(entry.cls):
        return []
    try:
        hints = typing.get_type_hints(entry.cls)
    except NameError:  # a type that only type checkers see
        hints = {item.name: item.type for item in dataclasses.fields(entry.cls)}
    meanings = {name: text for cls in reversed(entry.cls.__mro__) for name, text in _documented(cls)}
    return [
        Setting(item.name, _values(hints[item.name]), _default(item), meanings.get(item.name, ""))
        for item in dataclasses.fields(entry.cls)
        if item.init
    ]


def _values(hint: Any) -> str:
    """Spell a type as its values: "int", "none | exact", "float | none"."""
    import re
    import typing

    if isinstance(hint, str):
        plain = re.sub(r"Literal\[([^]]*)\]", lambda found: re.sub("[\"']", "", found[1]).replace(", ", " | "), hint)
        return plain.replace("None", "none")
    options = typing.get_args(hint)
    if not options:
        return str(getattr(hint, "__name__", hint)).replace("NoneType", "none")
    if typing.get_origin(hint) is typing.Literal:
        return " | ".join(map(str, options))
    return " | ".join(map(_values, options))


def _default(item: Any) -> str:
    import dataclasses

    if item.default is not dataclasses.MISSING:
        return "none" if item.default is None else str(item.default)
    return "required" if item.default_factory is dataclasses.MISSING else str(item.default_factory())


def _documented(cls: type) -> Iterator[tuple[str, str]]:
    """Yield (name, text) for each line of the "Attributes:" section of a class docstring."""
    import inspect
    import re

    section = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    for entry in re.split(r"\n(?= {4}\S)", "\n" + section):
        names, colon, text = entry.strip().partition(":")
        if colon:
            for name in names.split(","):
                yield name.strip(), " ".join(text.split())


def _needs(entry: Entry) -> list[str]:
    return [*sorted(level for level in entry.access if level != "text"), *entry.needs]


def idea_of(entry: Entry) -> str:
    """Return the summary without the name that it begins with."""
    from difflib import SequenceMatcher

    title, colon, idea = entry.summary.partition(": ")
    words = entry.name.split("_")
    named = (
        any(word in title.lower() for word in words) or SequenceMatcher(None, title.lower(), entry.name).ratio() > 0.8
    )
    return (idea if colon and named else entry.summary).rstrip(".")


def facts_of(entry: Entry) -> dict[str, Any]:
    """Return what the catalogue knows of a component, as JSON values."""
    return {
        "name": entry.name,
        "kind": entry.kind,
        "cards": list(entry.card),
        "paper": entry.paper,
        "fidelity": entry.fidelity,
        "access": sorted(entry.access),
        "needs": list(entry.needs),
        "tags": {tag: list(values) for tag, values in entry.tags.items()},
        "oracle": entry.oracle,
        "since": entry.since,
        "summary": entry.summary,
        "settings": [setting._asdict() for setting in settings_of(entry)],
    }


def _papers(*, as_json: bool) -> None:
    from ponder.cli.console import show, show_json, table
    from ponder.core.papers import rows

    lines = rows()
    if as_json:
        show_json([line.to_dict() for line in lines])
        return
    listed = table("card", "paper", "state", "fidelity", "components", right=("card",))
    for line in lines:
        style = "" if line.state == "works" else "dim"
        paper = line.paper
        listed.add_row(str(paper.card), paper.name, line.state, paper.fidelity, ", ".join(line.components), style=style)
    works = sum(line.state == "works" for line in lines)
    show(listed, f"{works} of {len(lines)} work, as the tests of this version say.")
