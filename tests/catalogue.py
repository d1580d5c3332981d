"""Pytest plugin that keeps `src/ponder/core/state.json` honest: what the tests of each component and card said.

`--catalogue=write` runs only the tests that count and writes the file (`make catalogue`); `--catalogue=check`, with the
whole suite, fails when the file says something else (`make test`). What counts for a component: the items of
`tests/conformance/` that have its registry entry as a parameter, and `tests/<room>/**/test_<its file>.py`; for a card:
`tests/parity/test_NN_*.py`, asked for wherever `tests/fixtures/NN-*` exists.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from ponder.core import papers
from ponder.core.papers import Outcome, State, component_key
from ponder.core.registry import Entry, registries

TESTS = Path(__file__).parent
STATE_FILE = Path(papers.__file__).with_name("state.json")
NAME = "src/ponder/core/state.json says what the tests said"
PROPERTY = "catalogue"
SHOWN = 20
CARDS = re.compile(r"test_((?:\d\d_)+)")
Subject = tuple[str, str]  # ("04", "parity") or ("method/greedy", "conformance" | "tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--catalogue", choices=["write", "check"], help="write or check src/ponder/core/state.json")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(config.getoption("--catalogue")), "catalogue-recorder")


def aggregate(outcomes: Iterable[Outcome]) -> Outcome:
    """One failure fails, one pass is needed; nothing at all is "missing"."""
    seen = set(outcomes)
    return next((outcome for outcome in ("failed", "passed", "skipped") if outcome in seen), "missing")


def subjects(path: Path, parameters: Iterable[object], entries: Iterable[Entry]) -> set[Subject]:
    """What a test at `path` (below tests/), with these parameters, says something about."""
    match path.parts[0]:
        case "parity":
            named = CARDS.match(path.name)
            return {(card, "parity") for card in re.findall(r"\d\d", named[1])} if named else set()
        case "conformance":
            return {(component_key(p), "conformance") for p in parameters if isinstance(p, Entry)}
        case room:
            return {
                (component_key(entry), "tests")
                for entry in entries
                if entry.cls.__module__.startswith(f"ponder.{room}.")
                and path.name == f"test_{entry.cls.__module__.rpartition('.')[2]}.py"
            }


def differences(shipped: State, fresh: State) -> list[str]:
    """Where the file says something else than the tests; what could not run here (skipped) says nothing against it."""
    found = []
    for key in sorted(shipped.components.keys() | fresh.components.keys()):
        was, is_ = shipped.components.get(key, {}), fresh.components.get(key, {})
        for aspect in sorted(was.keys() | is_.keys()):
            found += _difference(f"{key} {aspect}", was.get(aspect), is_.get(aspect))
    for card in sorted(shipped.parity.keys() | fresh.parity.keys()):
        found += _difference(f"card {card:02}", shipped.parity.get(card), fresh.parity.get(card))
    return found


def _difference(what: str, was: Outcome | None, is_: Outcome | None) -> list[str]:
    same = was == is_ or (is_ == "skipped" and was is not None)
    return [] if same else [f"{what}: the file says {was or 'nothing'}, the tests say {is_ or 'nothing'}"]


class Recorder:
    """Collects outcomes by subject over one session, of all workers if there are any."""

    def __init__(self, mode: str | None) -> None:
        self.mode = mode
        self.said: defaultdict[Subject, list[Outcome]] = defaultdict(list)
        self.entries = [entry for registry in registries().values() for entry in registry.entries()] if mode else []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if not self.mode:
            return
        idle = set()
        for item in items:
            call = getattr(item, "callspec", None)
            about = subjects(item.path.relative_to(TESTS), call.params.values() if call else (), self.entries)
            # A property of the test travels with its reports, from a worker too.
            item.user_properties.append((PROPERTY, [list(subject) for subject in sorted(about)]))
            if not about:
                idle.add(item)
        if self.mode == "write" and idle:
            config.hook.pytest_deselected(items=list(idle))
            items[:] = [item for item in items if item not in idle]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.mode and (report.when == "call" or not report.passed):
            for name, about in report.user_properties:
                if name == PROPERTY and isinstance(about, list):
                    for subject, aspect in about:
                        self.said[subject, aspect].append(report.outcome)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the file, or compare: a stale one is one more failed test of the run."""
        worker = hasattr(session.config, "workerinput")
        if worker or not self.mode or exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return
        if self.mode == "write":
            STATE_FILE.write_text(self.state().to_json(), encoding="utf-8")
            return
        stale = differences(papers.shipped_state(), self.state())
        told = stale if len(stale) <= SHOWN else [*stale[:SHOWN], f"and {len(stale) - SHOWN} more"]
        report = pytest.TestReport(
            nodeid=NAME,
            location=(NAME, None, NAME),
            keywords={},
            outcome="failed" if stale else "passed",
            longrepr="\n".join(["stale: run `make catalogue`, commit the file", *told]) if stale else None,
            when="call",
        )
        session.config.hook.pytest_runtest_logreport(report=report)
        if stale:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def state(self) -> State:
        """What this session's tests said."""
        cards = {path.name[:2] for path in (TESTS / "fixtures").glob("[0-9][0-9]-*")}
        cards |= {card for card, aspect in self.said if aspect == "parity"}
        components: defaultdict[str, dict[str, Outcome]] = defaultdict(dict)
        for (subject, aspect), outcomes in self.said.items():
            if aspect != "parity":
                components[subject][aspect] = aggregate(outcomes)
        parity = {int(card): aggregate(self.said.get((card, "parity"), ())) for card in cards}
        return State(components=components, parity=parity)
