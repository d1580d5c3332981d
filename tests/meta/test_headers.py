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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert path.name == "_version.py" or docstring


@every_component
def test_header_begins_with_one_sentence(entry: Entry) -> None:
    assert entry.summary.endswith(".")
    assert len(entry.summary) <= 240


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.kind in ("method", "verifier")], ids=papers.component_key)
def test_header_has_its_sections(entry: Entry) -> None:
    lacking = [s for s in SECTIONS if not re.search(rf"(^|[.;)] ){s}\s", entry.header, re.MULTILINE)]
    assert not lacking, f"{entry.cls.__module__} lacks {lacking}"


@every_component
def test_every_component_is_documented(entry: Entry) -> None:
    assert entry.cls.__doc__
    assert entry.since
    assert bool(entry.paper) == (entry.fidelity != "ours"), "a paper's method names it; ours names none"


@every_component
def test_a_reconstruction_is_not_called_the_papers_result(entry: Entry) -> None:
    known = {FIDELITY[card] for card in entry.card}
    assert known != {"reconstructed"} or entry.fidelity in ("reconstructed", "ours")


@every_component
def test_every_component_is_sorted_by_the_survey(entry: Entry) -> None:
    assert check_tags(entry.tags) == []
