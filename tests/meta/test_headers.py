"""Headers (STYLE S3): the file of a component is its documentation, so it must hold the sections that pages show."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import ponder
from ponder.core import papers
from ponder.core.registry import Entry, registries
from ponder.core.taxonomy import check_tags

ROOT = Path(ponder.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
ENTRIES = [entry for registry in registries().values() for entry in registry.entries()]
FIDELITY = {paper.card: paper.fidelity for paper in papers.papers()}
SECTIONS = "(Paper|Source):", "Cost:", "Needs:"
every_component = pytest.mark.parametrize("entry", ENTRIES, ids=papers.component_key)


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in FILES
        if path.name != "_version.py" and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


@every_component
def test_header_is_whole(entry: Entry) -> None:
    assert entry.summary.endswith("."), "a header begins with one sentence"
    assert len(entry.summary) <= 240
    if entry.kind in ("method", "verifier"):
        lacking = [s for s in SECTIONS if not re.search(rf"(^|[.;)] ){s}\s", entry.header, re.MULTILINE)]
        assert not lacking, f"{entry.cls.__module__} lacks {lacking}"
    assert entry.cls.__doc__
    assert entry.since


@every_component
def test_source_is_told_as_it_is(entry: Entry) -> None:
    assert bool(entry.paper) == (entry.fidelity != "ours"), "a paper's method names it; ours names none"
    known = {FIDELITY[card] for card in entry.card}
    told = known != {"reconstructed"} or entry.fidelity in ("reconstructed", "ours")
    assert told, "a reconstruction is not called the paper's result"


@every_component
def test_every_component_is_sorted_by_the_survey(entry: Entry) -> None:
    assert check_tags(entry.tags) == []
