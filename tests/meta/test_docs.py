"""Committed pages hold what the registry says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

FILE = Path(__file__).parents[2] / "docs" / "build.py"


def test_generated_tables_are_not_stale() -> None:
    spec = importlib.util.spec_from_file_location("docs_build", FILE)
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    assert build.stale() == [], "run `make docs` and commit the tables"
