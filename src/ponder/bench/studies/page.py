"""A study as JSON, as Markdown and as one HTML page that needs nothing else.

Source: our own. No script and no outside resource; every text is escaped. The page looks like the demo's report: it
takes the styles from there.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from ponder.bench.svg_plot import legend_mark
from ponder.core.errors import BadInput

__all__ = ["Fold", "Picture", "Section", "Study", "Table", "render_markdown", "render_page", "write_study"]

SCHEMA = 1

_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of texts.

    Attributes:
        title: above it; "" for none.
        head: of the columns; the first one is read as the row's name.
        rows: as many cells each.
    """

    title: str = ""
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawing with its legend.

    Attributes:
        svg: made by this package, not escaped again.
        labels: of its series, in their order.
        caption: what is drawn.
    """

    svg: str
    labels: tuple[str, ...]
    caption: str


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Something to unfold on the page: a long text, tables, and more to unfold. Markdown leaves it out.

    Attributes:
        summary: what is seen before it is unfolded.
        text: as it is, line breaks included.
        tables: below the text.
        folds: below the tables.
        links: words, and the `place` on this page that they lead to.
        place: name by which links on this page find it, or "".
    """

    summary: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    folds: tuple[Fold, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    place: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a study: what was found, drawn, in tables, and what can be unfolded."""

    title: str
    note: str = ""
    pictures: tuple[Picture, ...] = ()
    lines: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    folds: tuple[Fold, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Study:
    """What a study found.

    Attributes:
        name: of the study.
        title: for people.
        facts: how it was made (models, problems, sampling).
        warning: what a reader must not overlook; "" for nothing.
        sections: the findings.
        notes: how to read them.
        data: the same numbers for programs.
    """

    name: str
    title: str
    facts: tuple[str, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    data: Mapping[str, Any]
    warning: str = ""


def write_study(study: Study, folder: Path) -> Path:
    """Write table.json, table.md and page.html into a folder that exists, and return the page.

    Raises:
        BadInput: a file cannot be written.
    """
    page = folder / "page.html"
    try:
        body = {"schema": SCHEMA, "study": study.name, "facts": study.facts, "warning": study.warning, **study.data}
        (folder / "table.json").write_text(json.dumps(body, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        (folder / "table.md").write_text(render_markdown(study), encoding="utf-8")
        page.write_text(render_page(study), encoding="utf-8")
    except OSError as err:
        raise BadInput(f"cannot write the study into {str(folder)!r}: {err.strerror or err}") from err
    return page


def render_page(study: Study) -> str:
    """Return the page."""
    template = files("ponder.bench.studies").joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        style=_style(),
        title=_esc(study.title),
        facts=" · ".join(map(_esc, study.facts)),
        warning=f'<p class="warn">{_esc(study.warning)}</p>' if study.warning else "",
        sections="".join(map(_section, study.sections)),
        notes=_items(study.notes),
    )


def render_markdown(study: Study) -> str:
    """Return title, findings, tables and notes as Markdown."""
    out = [f"# {study.title}", " · ".join(study.facts)]
    if study.warning:
        out.append(f"**{study.warning}**")
    for section in study.sections:
        out.append(f"## {section.title}")
        if section.note:
            out.append(section.note)
        if section.lines:
            out.append("\n".join(f"- {line}" for line in section.lines))
        for table in section.tables:
            rule = ["---", *["---:"] * (len(table.head) - 1)]
            lines = [_line(cells) for cells in (table.head, rule, *table.rows)]
            out.append("\n".join([f"{table.title}\n", *lines] if table.title else lines))
    out += ["## How to read this", "\n".join(f"- {note}" for note in study.notes)]
    return "\n\n".join(out) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


def _section(section: Section) -> str:
    note = f'<p class="soft small">{_esc(section.note)}</p>' if section.note else ""
    pictures = "".join(map(_picture, section.pictures))
    lines = f"<ul>{_items(section.lines)}</ul>" if section.lines else ""
    beside, below = (lines, "") if len(section.pictures) == 1 else ("", lines)
    return (
        f'<h2>{_esc(section.title)}</h2>{note}<div class="pair">{pictures}{beside}</div>{below}'
        f"{''.join(map(_table, section.tables))}{''.join(map(_fold, section.folds))}"
    )


def _fold(fold: Fold) -> str:
    text = f"<pre>{_esc(fold.text)}</pre>" if fold.text else ""
    links = " · ".join(f'<a href="#{_esc(quote(place))}">{_esc(words)}</a>' for words, place in fold.links)
    leads = f'<p class="small">{links}</p>' if links else ""
    inside = f"{text}{''.join(map(_table, fold.tables))}{leads}{''.join(map(_fold, fold.folds))}"
    # The name stands within: a browser unfolds what is around the place that a link leads to.
    name = f' id="{_esc(fold.place)}"' if fold.place else ""
    return f'<details><summary>{_esc(fold.summary)}</summary><div class="inside"{name}>{inside}</div></details>'


def _picture(picture: Picture) -> str:
    keys = "".join(f"<span>{legend_mark(at)}{_esc(label)}</span>" for at, label in enumerate(picture.labels))
    caption = f'<figcaption class="soft small">{_esc(picture.caption)}</figcaption>'
    return f'<figure><div class="legend">{keys}</div>{picture.svg}{caption}</figure>'


def _table(table: Table) -> str:
    head = "".join(f"<th>{_esc(cell)}</th>" for cell in table.head)
    rows = "".join(
        f'<tr><th scope="row">{_esc(cells[0])}</th>{"".join(f"<td>{_esc(cell)}</td>" for cell in cells[1:])}</tr>'
        for cells in table.rows
    )
    title = f"<h3>{_esc(table.title)}</h3>" if table.title else ""
    return f'{title}<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _style() -> str:
    report = files("ponder.bench").joinpath("report.html").read_text(encoding="utf-8")
    return report.partition("<style>")[2].partition("</style>")[0]


def _items(lines: Iterable[str]) -> str:
    return "".join(f"<li>{_esc(line)}</li>" for line in lines)


def _esc(text: str) -> str:
    """Escape, and show what HTML cannot hold (control characters, lone surrogates) as a replacement mark."""
    return html.escape(_UNFIT.sub("\ufffd", text))
