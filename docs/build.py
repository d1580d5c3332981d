"""Write what is generated: the tables inside committed pages, and the sources of the site, which MkDocs then builds.

Nothing in them is kept by hand: if a page reads badly, its header does. `--check` writes nothing and fails where a
table that is committed is not what the registry says.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ponder.core.access import Access
from ponder.core.papers import Row, rows
from ponder.core.registry import Entry, adapters, models, registries, strategies, verifiers

DOCS = Path(__file__).parent
ROOT = DOCS.parent
BUILD = ROOT / "build" / "docs"
COMMITTED = (ROOT / "README.md", DOCS / "access.md", DOCS / "papers.md")
# Sections of a header, in the order in which a page shows them, and their titles there.
SECTIONS = {
    "When": "When to use it",
    "When not": "When not",
    "Cost": "Cost",
    "Needs": "Needs",
    "Differs": "Differs from its source",
    "Paper": "Source",
    "Source": "Source",
}
_LABEL = re.compile(rf"(?:^|(?<=[.;)] ))({'|'.join(sorted(SECTIONS, key=len, reverse=True))}):\s", re.MULTILINE)
GUIDES = {
    "guides/engineer.md": "Better answers from your endpoint",
    "guides/serve.md": "Behind your base_url: the gateway",
    "guides/replicas.md": "Several gateways",
    "guides/researcher.md": "Compare methods at equal cost",
    "guides/tuning.md": "From your tasks to a policy",
    "guides/harnesses.md": "Under inspect-ai and lm-eval",
    "guides/decomposition.md": "Split up, talk, prepare",
    "guides/thinking.md": "Think longer, judge, be sure",
    "guides/white-box.md": "Logits and hidden states",
    "guides/adapt.md": "Adapt a classifier to its stream",
    "guides/planned.md": "What is planned",
}


def sections(header: str) -> tuple[str, dict[str, str]]:
    """Split a header into what stands before the first label, and the text of each label."""
    parts = _LABEL.split(header)
    return parts[0].strip(), {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def page(entry: Entry) -> str:
    """Return the page of one component."""
    lead, found = sections(entry.header)
    lines = [f"# {entry.name}", "", lead, ""]
    for name, title in SECTIONS.items():
        if name in found:
            lines += [f"## {title}", "", found[name][:1].upper() + found[name][1:], ""]
    facts = {
        "kind": entry.kind,
        "source": entry.paper or "ours",
        "fidelity": entry.fidelity,
        "cards": ", ".join(map(str, entry.card)) or "none",
        "access": ", ".join(sorted(access.value for access in entry.access)) or "none",
        "needs": ", ".join(entry.needs) or "nothing more",
        **{axis.replace("_", " "): ", ".join(words) for axis, words in entry.tags.items()},
        "since": entry.since,
    }
    fields = dataclasses.fields(entry.cls) if dataclasses.is_dataclass(entry.cls) else ()
    if settings := [f for f in fields if f.init]:
        said = _attributes(entry.cls)
        lines += ["## Settings", "", "| name | default | type | meaning |", "|---|---|---|---|"]
        for f in settings:
            lines.append(f"| `{f.name}` | {_default(f)} | `{_cell(f.type)}` | {_cell(said.get(f.name, ''))} |")
        lines.append("")
    lines += ["## Facts", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]
    return "\n".join(lines) + "\n"


def components_table() -> str:
    """Return the table of methods and verifiers."""
    lines = ["| | name | idea | source | needs |", "|---|---|---|---|---|"]
    for registry in (strategies, verifiers, adapters):
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


def papers_table() -> str:
    """Return the 65 papers with their state and their places on the survey's axes."""
    head = ("card", "paper", "state", "what", "how", "where", "how well", "components")
    lines = ["| " + " | ".join(head) + " |", "|--:" + "|---" * (len(head) - 1) + "|"]
    lines += [_paper(row) for row in rows()]
    return "\n".join(lines) + "\n"


def _paper(row: Row) -> str:
    axes = row.paper.taxonomy
    how = [word for axis in ("tuning", "stimulation", "verification", "search", "aggregation") for word in axes[axis]]
    mark = "" if row.paper.fidelity in ("paper", "code") else f" ({row.paper.fidelity})"
    cells = (
        str(row.paper.card),
        f"[{row.paper.name}](https://arxiv.org/abs/{row.paper.arxiv}){mark}",
        row.state,
        *(", ".join(words) or "-" for words in (axes["what"], how, axes["where"], axes["how_well"])),
        ", ".join(f"`{name}`" for name in row.components) or "-",
    )
    return "| " + " | ".join(map(_cell, cells)) + " |"


TABLES = {"components": components_table, "access": access_table, "papers": papers_table}


def with_tables(text: str) -> str:
    """Return a committed page with its generated tables made anew, between `<!-- NAME -->` and `<!-- /NAME -->`."""
    for name, table in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if start in text:
            before, _, rest = text.partition(start)
            text = before + start + table() + end + rest.partition(end)[2]
    return text


def stale(write: bool = False) -> list[str]:
    """Return the committed pages whose tables are stale, and mend them if told to."""
    found = []
    for file in COMMITTED:
        text = file.read_text(encoding="utf-8")
        fresh = with_tables(text)
        if fresh != text:
            found.append(file.name)
            if write:
                file.write_text(fresh, encoding="utf-8")
    return found


def write_sources() -> Path:
    """Write the pages of the site and its configuration, and return the latter."""
    shutil.rmtree(BUILD, ignore_errors=True)
    pages = BUILD / "pages"
    for file in [*DOCS.glob("*.md"), *(DOCS / "guides").glob("*.md")]:
        _write(pages / file.relative_to(DOCS), file.read_text(encoding="utf-8"))
    shown: list[object] = []
    for kind, registry in registries().items():
        folder = kind.replace(" ", "-") + "s" if not kind.endswith("y") else kind[:-1].replace(" ", "-") + "ies"
        entries = registry.entries()
        _write(pages / folder / "index.md", _index(kind, entries))
        for entry in entries:
            _write(pages / folder / f"{entry.name}.md", page(entry))
        shown.append({folder.replace("-", " ").capitalize(): [f"{folder}/{name}" for name in _files(entries)]})
    nav: list[object] = [
        {"Home": "index.md"},
        {"Guides": [{title: file} for file, title in GUIDES.items()]},
        {"Components": shown},
        {"Papers": "papers.md"},
        {"Back-ends": "access.md"},
        {"Design": [{"Design": "design.md"}, {"What did not help": "log.md"}]},
    ]
    config = BUILD / "mkdocs.yml"
    # JSON is YAML.
    _write(config, (DOCS / "mkdocs.yml").read_text(encoding="utf-8") + "nav: " + json.dumps(nav, indent=1) + "\n")
    return config


def _files(entries: Iterable[Entry]) -> list[str]:
    return ["index.md", *(f"{entry.name}.md" for entry in entries)]


def _index(kind: str, entries: Iterable[Entry]) -> str:
    lines = [f"# {kind.capitalize()}: all of them", "", "| name | idea | source |", "|---|---|---|"]
    lines += [f"| [{entry.name}]({entry.name}.md) | {_idea(entry)} | {_source(entry)} |" for entry in entries]
    return "\n".join(lines) + "\n"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _attributes(cls: type) -> Mapping[str, str]:
    """Return what the docstring of a class says of its attributes."""
    doc = inspect.getdoc(cls) or ""
    block = doc.partition("Attributes:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", block, re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in found for name in names.split(", ")}


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
        return f"`{_cell(repr(field.default))}`"
    return "made new" if field.default_factory is not dataclasses.MISSING else "required"


def main() -> None:
    """Mend the committed tables and write the sources of the site, or only check."""
    if "--check" in sys.argv:
        names = stale()
        sys.exit(f"stale: {', '.join(names)}; run `make docs`" if names else 0)
    stale(write=True)
    write_sources()


if __name__ == "__main__":
    main()
