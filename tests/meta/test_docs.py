"""Committed pages hold what the registry says, and the site builds without a warning."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ponder.core.registry import registries

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_build", DOCS / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_tables_are_not_stale(build: ModuleType) -> None:
    assert build.stale() == [], "run `make docs` and commit the tables"


def test_a_header_is_split_into_its_sections(build: ModuleType) -> None:
    lead, found = build.sections(
        "A vote.\n\nPaper: Wang et al.\nDiffers: ties.\nCost: n calls. Needs: text.\nWhen: numbers.\nWhen not: prose."
    )
    assert lead == "A vote."
    assert found == {
        "Paper": "Wang et al.",
        "Differs": "ties.",
        "Cost": "n calls.",
        "Needs": "text.",
        "When": "numbers.",
        "When not": "prose.",
    }


@pytest.mark.slow
def test_the_site_builds_without_a_warning(build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mkdocs", reason="pip install 'ponder[docs]'")
    monkeypatch.setattr(build, "BUILD", tmp_path / "docs")
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    config, site = build.write_sources(), tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(config), "-d", str(site)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for kind, registry in registries().items():
        for entry in registry.entries():
            assert list(site.glob(f"*/{entry.name}.html")), f"{kind} {entry.name} has no page"
    text = (site / "methods" / "best_of_n.html").read_text(encoding="utf-8")
    assert "When to use it" in text
    assert "When not" in text
