"""Write what is generated: the tables inside README.md and docs/access.md, and the pages of site/.

Nothing in them is kept by hand: if a page reads badly, its header does. `--check` writes nothing and fails where a
table that is committed is not what the registry says.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from pathlib import Path

from ponder.core.access import Access
from ponder.core.papers import rows
from ponder.core.registry import Entry, models, registries, strategies, verifiers

ROOT = Path(__file__).parent.parent
SITE = ROOT / "site"


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


def components_table() -> str:
    """Return the table of methods and verifiers."""
    lines = ["| | name | idea | source | needs |", "|---|---|---|---|---|"]
    for registry in (strategies, verifiers):
        for entry in registry.entries():
            access = sorted(level.value for level in entry.access if level is not Access.TEXT)
            needs = ", ".join((*access, *entry.needs)) or "-"
            lines.append(f"| {entry.kind} | `{entry.name}` | {_idea(entry)} | {_source(entry)} | {needs} |")
    return "\n".join(lines) + "\n"


def access_table() -> str:
    """Return the table of back-ends and what each gives; `tests/models/test_access.py` holds the cells to it."""
    levels = list(Access)
    lines = ["| back-end | " + " | ".join(levels) + " |", "|---" * (len(levels) + 1) + "|"]
    for entry in models.entries():
        cells = ["yes" if level in entry.access else "" for level in levels]
        lines.append(f"| `{entry.name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def with_tables(text: str) -> str:
    """Return a committed page with its generated tables made anew, between `<!-- NAME -->` and `<!-- /NAME -->`."""
    for name, table in (("components", components_table()), ("access", access_table())):
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if start in text:
            before, _, rest = text.partition(start)
            text = before + start + table + end + rest.partition(end)[2]
    return text


def stale(write: bool = False) -> list[str]:
    """Return the committed pages whose tables are stale, and mend them if told to."""
    found = []
    for file in (ROOT / "README.md", ROOT / "docs" / "access.md"):
        text = file.read_text(encoding="utf-8")
        fresh = with_tables(text)
        if fresh != text:
            found.append(file.name)
            if write:
                file.write_text(fresh, encoding="utf-8")
    return found


def main() -> None:
    """Write every page and the index, or only check."""
    if "--check" in sys.argv:
        names = stale()
        sys.exit(f"stale: {', '.join(names)}; run `make docs`" if names else 0)
    stale(write=True)
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


def _idea(entry: Entry) -> str:
    name, colon, idea = entry.summary.partition(": ")
    return _cell(idea if colon else name).rstrip(".")


def _source(entry: Entry) -> str:
    if not entry.paper:
        return "ours"
    number = entry.paper.removeprefix("arXiv:")
    cards = f" (card {', '.join(map(str, entry.card))})" if entry.card else ""
    mark = "" if entry.fidelity in ("paper", "code") else f", {entry.fidelity}"
    return f"[{number}](https://arxiv.org/abs/{number}){cards}{mark}"


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    return "made new" if field.default_factory is not dataclasses.MISSING else "required"


if __name__ == "__main__":
    main()
