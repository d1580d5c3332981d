"""The files of the page, read once: HTML, styles, modules and the icon, each with its type and a tag of its content.

There is no build step: what lies in the folder `static` is what a browser gets. All of it is under 300 KB together,
and nothing in it is fetched from elsewhere.
Source: our own. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

__all__ = ["INDEX", "Asset", "assets"]

# The file that stands for the page itself.
INDEX = "index.html"
_KINDS = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file.

    Attributes:
        body: its bytes.
        kind: value of the header `content-type`.
        etag: value of the header `etag`: other bytes have another one.
    """

    body: bytes
    kind: bytes
    etag: str


@functools.cache
def assets() -> Mapping[str, Asset]:
    """Return the files by their path below the folder, with "/" between its parts."""
    return dict(sorted(_below(files("ponder.web").joinpath("static"), "")))


def _below(folder: Traversable, before: str) -> Iterator[tuple[str, Asset]]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _below(item, f"{before}{item.name}/")
        elif (kind := _KINDS.get(item.name.rpartition(".")[2])) is not None:
            body = item.read_bytes()
            digest = hashlib.sha256(body).hexdigest()[:32]
            yield before + item.name, Asset(body=body, kind=kind, etag=f'"{digest}"')
