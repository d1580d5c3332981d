"""Write site/: one page per component from its header and metadata, and the catalogue of papers.

Nothing in it is kept by hand: if a page reads badly, its header does.
"""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

from ponder.core.papers import rows
from ponder.core.registry import Entry, registries

SITE = Path(__file__).parent.parent / "site"


def page(entry: Entry) -> str:
    """Return the page of one component."""
    facts = {
        "Kind": entry.kind,
        "Source": entry.paper or "ours",
        "Fidelity": entry.fidelity,
        "Cards": ", ".join(map(str, entry.card)) or "none",
        "Access": ", ".join(sorted(access.value for access in entry.access)) or "none",
        "Needs": ", ".join(entry.needs) or "nothing more",
        **{tag.replace("_", " ").capitalize(): ", ".join(values) for tag, values in entry.tags.items()},
        "Since": entry.since,
    }
    lines = [f"# {entry.name}", "", entry.header, "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    fields = dataclasses.fields(entry.cls) if dataclasses.is_dataclass(entry.cls) else ()
    if settings := [f for f in fields if f.init]:
        lines += ["", "## Settings", "", "| name | type | default |", "|---|---|---|"]
        lines += [f"| `{f.name}` | `{_cell(f.type)}` | {_default(f)} |" for f in settings]
        lines += ["", inspect.getdoc(entry.cls) or ""]
    return "\n".join(lines) + "\n"


def catalogue() -> str:
    """Return the page of the 65 papers."""
    lines = [
        "# The 65 papers",
        "",
        "| card | name | title | state | fidelity | components |",
        "|--:|---|---|---|---|---|",
    ]
    for row in rows():
        link = f"[{row.paper.name}](https://arxiv.org/abs/{row.paper.arxiv})"
        names = ", ".join(row.components)
        lines.append(
            f"| {row.paper.card} | {link} | {row.paper.title} | {row.state} | {row.paper.fidelity} | {names} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write every page and the index."""
    index = ["# ponder", "", "- [The 65 papers](papers.md)"]
    SITE.mkdir(exist_ok=True)
    for kind, registry in registries().items():
        index += ["", f"## {kind.capitalize()}", ""]
        folder = SITE / kind.replace(" ", "_")
        folder.mkdir(exist_ok=True)
        for entry in registry.entries():
            (folder / f"{entry.name}.md").write_text(page(entry), encoding="utf-8")
            index.append(f"- [{entry.name}]({folder.name}/{entry.name}.md): {entry.summary}")
    (SITE / "papers.md").write_text(catalogue(), encoding="utf-8")
    (SITE / "index.md").write_text("\n".join(index) + "\n", encoding="utf-8")


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    return "made new" if field.default_factory is not dataclasses.MISSING else "required"


if __name__ == "__main__":
    main()
