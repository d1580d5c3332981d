"""The light base (STYLE S13): importing ponder, and walking its registries, loads nothing that an extra brings."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "sympy", "numpy", "matplotlib", "math_verify", "xllamacpp")


def loaded(statement: str) -> set[str]:
    """Top-level packages in `sys.modules` of a fresh interpreter after `statement`."""
    probe = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_loads_no_dependency_at_all() -> None:
    assert not loaded("import ponder") & {*HEAVY, "aiohttp", "rich", "typer", "asyncio"}


@pytest.mark.parametrize(
    "statement",
    ["import ponder; [getattr(ponder, n) for n in ponder.__all__]", "from ponder.core.papers import rows; rows()"],
    ids=["every public name", "every registry"],
)
def test_discovery_loads_nothing_of_an_extra(statement: str) -> None:
    assert not loaded(statement) & set(HEAVY)
