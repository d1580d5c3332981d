"""Names (STYLE S1): file, registry name, class and test file share one stem."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.core.papers import component_key
from ponder.core.registry import Entry, strategies, verifiers

TESTS = Path(__file__).parent.parent
ENTRIES = [*strategies.entries(), *verifiers.entries()]
every_component = pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry.cls.__module__.startswith("ponder.")], ids=component_key
)


@every_component
def test_stem_name_and_class_are_one(entry: Entry) -> None:
    assert entry.cls.__module__.rpartition(".")[2] == entry.name
    assert entry.cls.__name__.lower() == entry.name.replace("_", "")  # whatever the case of acronyms


@every_component
def test_every_component_has_its_test_file(entry: Entry) -> None:
    room = entry.cls.__module__.split(".")[1]
    assert list((TESTS / room).rglob(f"test_{entry.name}.py")), f"no tests/{room}/test_{entry.name}.py"
