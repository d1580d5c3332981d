"""The catalogue for the page: the 65 papers with what works of each, and what can be chosen here.

Source: our own.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

from ponder.core import registry
from ponder.core.papers import rows
from ponder.core.registry import Entry
from ponder.gateway.choice import closed

__all__ = ["catalogue", "choices"]

# Kinds of components that the page shows, in this order.
_KINDS = ("method", "verifier", "law", "metric", "answer type", "task family", "adapter")


@functools.cache
def catalogue() -> dict[str, Any]:
    """Return papers and components."""
    papers = [
        {
            **row.to_dict(),
            "title": row.paper.title,
            "arxiv": row.paper.arxiv,
            "year": row.paper.year,
            "taxonomy": {axis: list(words) for axis, words in row.paper.taxonomy.items() if words},
        }
        for row in rows()
    ]
    found = registry.registries()
    components = [_component(entry) for kind in _KINDS if kind in found for entry in found[kind].entries()]
    return {"papers": papers, "components": components}


def choices() -> dict[str, Any]:
    """Return what a request may name: methods and verifiers with the settings that a client may give, answer types."""
    found = registry.registries()
    return {
        "methods": {entry.name: _settings(entry) for entry in found["method"].entries()},
        "verifiers": {entry.name: _settings(entry) for entry in found["verifier"].entries() if not entry.oracle},
        "answers": found["answer type"].names(),
    }


def _settings(entry: Entry) -> dict[str, Any]:
    operator = closed(entry)
    plain = (bool, int, float, str, type(None))
    return {
        name: value
        for name, value in registry.defaults(entry).items()
        if name not in operator and isinstance(value, plain)
    }


def _component(entry: Entry) -> dict[str, Any]:
    header = (sys.modules[entry.cls.__module__].__doc__ or "").strip()
    idea, _, rest = header.partition("\n")
    return {
        "kind": entry.kind,
        "name": entry.name,
        "cards": list(entry.card),
        "paper": entry.paper,
        "fidelity": entry.fidelity,
        "access": sorted(access.value for access in entry.access),
        "needs": list(entry.needs),
        "idea": idea,
        "header": rest.strip(),
    }
