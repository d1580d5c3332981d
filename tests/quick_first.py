"""Pytest plugin: the quick tests first, on as many workers as `-n` asks for; the heavy ones after them, on one.

`pytest -n 2` (as `make test` does) deals out the quick tests file by file. The tests that hold a real model or
train one come last and all go to one worker: each of them uses every core, so that a second one beside it would slow
both, and what they load is loaded once. Without `-n` the order is the same.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

try:
    from xdist.scheduler import LoadScopeScheduling
except ImportError:  # the tests also run without it, in one process
    LoadScopeScheduling = object

LATE = ("embedded", "torch", "slow")
FILE = pytest.StashKey[Path]()  # where a worker leaves the ids of the late tests for the controller


def is_late(item: pytest.Item) -> bool:
    """Whether a test is heavy."""
    return any(item.get_closest_marker(mark) for mark in LATE)


class QuickFirst(LoadScopeScheduling):  # type: ignore[misc]
    """Deals out the files of quick tests in the order of collection, then the late tests as one piece of work."""

    late: frozenset[str] = frozenset()

    def schedule(self) -> None:
        """Begin to deal out, or go on; by now the workers have collected."""
        if self.collection is None:
            self.late = frozenset(json.loads(self.config.stash[FILE].read_text(encoding="utf-8")))
            self.config.option.loadscopereorder = False
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return "late" if nodeid in self.late else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> QuickFirst | None:
    """Take our order unless another `--dist` than xdist's first choice is asked for."""
    return QuickFirst(config, log) if config.getoption("dist") == "load" else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where to leave the ids: the controller sees no marks."""
    config: pytest.Config = node.config
    if FILE not in config.stash:
        folder = tempfile.TemporaryDirectory(prefix="ponder-tests-")
        config.add_cleanup(folder.cleanup)
        config.stash[FILE] = Path(folder.name) / "late.json"
    node.workerinput["late"] = str(config.stash[FILE])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the quick tests first; the first worker also says which are late, as each of them collects the same."""
    items.sort(key=is_late)
    told = getattr(config, "workerinput", {})
    if told.get("workerid") == "gw0":
        Path(told["late"]).write_text(json.dumps([item.nodeid for item in items if is_late(item)]), encoding="utf-8")
