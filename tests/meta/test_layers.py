"""Imports point down (STYLE S5): read from the source, so lazy imports inside functions count too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import ponder

ROOT = Path(ponder.__file__).parent
TIER = {
    "core": 0,
    "numerics": 1,
    "models": 2,
    "layers": 2,
    "engines": 3,
    "tasks": 3,
    "verifiers": 4,
    "strategies": 5,
    "decoding": 5,
    "latent": 5,
    "vision": 5,
    "adapt": 5,
    "retrieval": 5,
    "planning": 6,
    "training": 6,
    "agents": 6,
    "bench": 7,
    "gateway": 8,
    "web": 7,
    "harness": 8,
    "cli": 9,
    "__main__": 10,
}
METHOD_ROOMS = {room for room, tier in TIER.items() if tier == 5}


class Edge(NamedTuple):
    importer: str
    imported: str

    def points_down(self) -> bool:
        """Whether the import is allowed; two methods share through lower rooms, never with each other."""
        if self.imported == "ponder._version":
            return True
        here, there = room(self.importer), room(self.imported)
        if here != there:
            return here in TIER and there in TIER and TIER[there] < TIER[here]
        private = any(part.startswith("_") for part in self.imported.split("."))
        return here not in METHOD_ROOMS or private or self.imported == f"ponder.{there}"


def room(module: str) -> str:
    """`ponder.core.task` -> core; the package itself belongs to no room."""
    return module.split(".")[1] if "." in module else ""


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the modules imported anywhere in `tree`, except under `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in node.orelse:
                yield from imports(ast.Module(body=[other], type_ignores=[]))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from ponder import core` and `from ponder.strategies import greedy` import modules as well.
            yield from (
                name if (ROOT.parent / f"{name.replace('.', '/')}.py").exists() or is_package(name) else node.module
                for name in (f"{node.module}.{alias.name}" for alias in node.names)
            )
        elif isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):  # no expression holds an import
            yield from imports(node)


def is_package(module: str) -> bool:
    return module.startswith("ponder.") and (ROOT.parent / module.replace(".", "/")).is_dir()


def edges() -> list[Edge]:
    found = set()
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if module != "ponder":  # the front door opens every room, late
            names = imports(ast.parse(path.read_text(encoding="utf-8")))
            found |= {Edge(module, name) for name in names if name.partition(".")[0] == "ponder"}
    return sorted(found)


def test_imports_point_down() -> None:
    found = edges()
    assert found
    assert [f"{edge.importer} -> {edge.imported}" for edge in found if not edge.points_down()] == []


def test_every_room_has_a_tier() -> None:
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert rooms <= TIER.keys()


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("ponder.engines.sample", "ponder.core.task", True),
        ("ponder.core.task", "ponder.engines.sample", False),
        ("ponder.models.openai", "ponder.layers.mlstm", False),
        ("ponder.strategies.best_of_n", "ponder.strategies.greedy", False),
        ("ponder.verifiers.rules", "ponder.verifiers.answers.json", True),
        ("ponder.core.task", "ponder", False),
        ("ponder.cli.main", "ponder._version", True),
    ],
)
def test_edge_points_down_by_tier(importer: str, imported: str, *, allowed: bool) -> None:
    assert Edge(importer, imported).points_down() is allowed


def test_imports_are_seen_in_functions_and_not_under_type_checking() -> None:
    source = """
if TYPE_CHECKING:
    from ponder.cli import main
else:
    import ponder.web
def late():
    from ponder.core import task
"""
    assert list(imports(ast.parse(source))) == ["ponder.web", "ponder.core.task"]
