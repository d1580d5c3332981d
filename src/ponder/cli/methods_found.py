"""Find a component by what people call it: its own name, the name of its paper, or the paper's number at arXiv.

Source: our own. Cost: the registries, and the list of papers where no component has the name.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator

from ponder.core.errors import UnknownName
from ponder.core.papers import Paper, papers
from ponder.core.registry import Entry, registries

__all__ = ["HOW", "find_component", "same_paper"]

# kind -> how its settings are given on a command line; kinds are searched in this order
HOW = {
    "method": "--set NAME=VALUE",
    "adapter": "ponder adapt bench --method NAME:KEY=VALUE,...",
    "verifier": "--verifier-set KEY=VALUE; in `ponder bench` --verifier NAME:KEY=VALUE,...",
    "law": "ponder.planning",
    "metric": "ponder.bench",
}


def find_component(name: str) -> Entry:
    """Return the component of this name, or the first one that its paper's row of the catalogue names.

    Args:
        name: "eata", "TENT", "TCA", "T3", "Label Shift Adapter", "2204.02610", ...; case and punctuation do not matter.

    Raises:
        UnknownName: there is none; the message lists near matches, or says that the paper is planned.
    """
    found = registries()
    for kind in HOW:
        if name in found[kind].names():
            return found[kind].get(name)
    for kind in HOW:
        for entry in found[kind].entries():
            if _plain(entry.name) == _plain(name):
                return entry
    for paper in papers():
        if _plain(name) in _calls(paper):
            for key in paper.components:
                kind, _, own = key.partition("/")
                if own in found[kind].names():
                    return found[kind].get(own)
            raise UnknownName(f"{paper.name} (card {paper.card}) is planned: there is nothing to show yet")
    known = [own for kind in ("method", "adapter") for own in found[kind].names()]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else f"There are: {', '.join(known)}."
    raise UnknownName(f"no method is called {name!r}. {hint}")


def same_paper(entry: Entry) -> list[str]:
    """Return the names of the other components that a paper of this one's needs, in the order of its row."""
    key = f"{entry.kind}/{entry.name}"
    others = [other for paper in papers() if key in paper.components for other in paper.components if other != key]
    return [other.partition("/")[2] for other in dict.fromkeys(others)]


def _calls(paper: Paper) -> Iterator[str]:
    """Yield what a paper may be called: its name, the parts of a name of several, its number, its title."""
    for text in (paper.name, *re.split(r"[/+()]", paper.name), paper.arxiv, paper.title):
        if plain := _plain(text):
            yield plain


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold().removeprefix("arxiv:")
    return "".join(c for c in folded if c.isalnum())
