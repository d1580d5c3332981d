"""Exports (STYLE S4): each public module says what it offers, and offers nothing else."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import ponder

ROOT = Path(ponder.__file__).parent


def public_modules() -> list[str]:
    names = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        if not any(part.startswith("_") for part in parts):
            names.append(".".join(parts))
    return names


def test_all_lists_the_public_definitions() -> None:
    names = public_modules()
    assert names
    assert {name: odd for name in names if (odd := oddities(name))} == {}


def oddities(name: str) -> set[str]:
    """The names that `__all__` lists without a definition, or lacks."""
    module = importlib.import_module(name)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    public = {node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")}
    return (set(module.__all__) - vars(module).keys()) | (public - set(module.__all__))


def test_front_door_shows_exactly_all() -> None:
    assert dir(ponder) == list(ponder.__all__)
    assert all(getattr(ponder, name) is not None for name in ponder.__all__)


def test_front_door_shows_type_checkers_the_same() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {a.asname or a.name for node in guarded.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert typed | {"__version__"} == set(ponder.__all__)
