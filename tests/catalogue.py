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
FRESHNESS = "test_state_file_says_what_the_tests_said"
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


class Recorder:
    """Collects outcomes by subject over one session."""

    def __init__(self, mode: str | None) -> None:
        self.mode = mode
        self.about: dict[str, set[Subject]] = {}
        self.said: defaultdict[Subject, list[Outcome]] = defaultdict(list)
        self.entries = [entry for registry in registries().values() for entry in registry.entries()] if mode else []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        late = [item for item in items if item.name == FRESHNESS]
        rest = [item for item in items if item.name != FRESHNESS]
        if self.mode:
            for item in rest:
                call = getattr(item, "callspec", None)
                parameters = call.params.values() if call else ()
                self.about[item.nodeid] = subjects(item.path.relative_to(TESTS), parameters, self.entries)
        kept = rest + late if self.mode == "check" else rest
        if self.mode == "write":
            kept = [item for item in rest if self.about[item.nodeid]]
        keeping = set(kept)
        if dropped := [item for item in items if item not in keeping]:
            config.hook.pytest_deselected(items=dropped)
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            for subject in self.about.get(report.nodeid, ()):
                self.said[subject].append(report.outcome)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if self.mode == "write" and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            STATE_FILE.write_text(self.state().to_json(), encoding="utf-8")

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
