"""The pictures of a page as files of their own: SVG, and PNG where resvg is installed.

Source: our own. A picture of a page takes its colours from the page; a file carries them itself (light).
Cost: no model call. Needs: for PNG the extra `plots` (resvg-py).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

from ponder.bench.studies.page import Picture, Study
from ponder.core.errors import BadInput
from ponder.core.registry import need

__all__ = ["standalone", "write_pictures"]

_COLOURS = ("#5d636e", "#1f6fd6", "#8a4fd0", "#d1580a", "#0f8a6a", "#b8286f")
_STYLE = (
    "svg{background:#fff;font:12px 'DejaVu Sans',sans-serif}.grid{stroke:#dddfe3;fill:none}"
    ".tick,.label{fill:#5d636e}.line,.bar{stroke:currentColor;fill:none;stroke-width:2}.bar{stroke-width:1.4}"
    ".mark{fill:currentColor;stroke:#fff;stroke-width:1}"
    + "".join(f".c{number}{{color:{colour}}}" for number, colour in enumerate(_COLOURS))
)
_BOX = re.compile(r'viewBox="0 0 (\d+) (\d+)"')
_LINE = 16  # units that a line of the legend takes


def standalone(picture: Picture) -> str:
    """Return a picture as an SVG file, with its legend below."""
    found = _BOX.search(picture.svg)
    if found is None:
        raise BadInput("the picture has no size")
    width, height = int(found[1]), int(found[2])
    whole = height + _LINE * len(picture.labels) + 8
    legend = []
    for number, label in enumerate(picture.labels):
        y = height + _LINE * number
        key = f'<rect class="mark" x="46" y="{y}" width="10" height="10"/>'
        text = f'<text class="label" x="62" y="{y + 9}">{html.escape(label)}</text>'
        legend.append(f'<g class="c{number % len(_COLOURS)}">{key}{text}</g>')
    size = f'xmlns="http://www.w3.org/2000/svg" width="{width}" height="{whole}" viewBox="0 0 {width} {whole}"'
    body = picture.svg.replace(found[0], size, 1).removesuffix("</svg>")
    head, _, rest = body.partition(">")
    return f"{head}><style>{_STYLE}</style>{rest}{''.join(legend)}</svg>"


def write_pictures(study: Study, folder: Path, *, png: bool = False) -> list[Path]:
    """Write every picture of a study, named by its section, and return the files.

    Args:
        study: with pictures.
        folder: made where there is none.
        png: write PNG (twice the size in pixels) instead of SVG.

    Raises:
        BadInput: a file cannot be written.
        MissingExtra: PNG without resvg.
    """
    render = need("resvg_py", extra="plots", feature="PNG pictures").svg_to_bytes if png else None
    files = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in _named(study):
            text = standalone(picture)
            file = folder / f"{name}.{'png' if png else 'svg'}"
            if render is None:
                file.write_text(text, encoding="utf-8")
            else:
                file.write_bytes(bytes(render(svg_string=text, zoom=2)))
            files.append(file)
    except OSError as err:
        raise BadInput(f"cannot write pictures into {str(folder)!r}: {err.strerror or err}") from err
    return files


def _named(study: Study) -> Iterator[tuple[str, Picture]]:
    for place, section in enumerate(study.sections, 1):
        for number, picture in enumerate(section.pictures, 1):
            slug = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")
            yield f"{place:02}-{slug}" + (f"-{number}" if len(section.pictures) > 1 else ""), picture
