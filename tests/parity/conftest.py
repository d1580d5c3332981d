"""Compares our numbers with the papers' fixtures, and prints how far they were apart at most.

A run that holds parity tests ends with one line a card; `--parity-table` (as in `make parity`) gives one a kind.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.parity.cases import Case, Kinds, Measured, measure

PROPERTY = "parity"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity-table", action="store_true", help="list the largest error of every kind of case")


@pytest.fixture
def agree(record_property: Callable[[str, object], None]) -> Callable[[Case, Kinds], None]:
    """Compare a case with its fixture, keep by how much it differs, and fail beyond the tolerance."""

    def check(case: Case, kinds: Kinds) -> None:
        measured = measure(case, kinds)
        record_property(PROPERTY, measured)
        assert not measured.wrong, f"beyond {measured.tolerance:g}: {dict(measured.wrong)}"

    return check


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table of cards x cases x largest error."""
    rows = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == PROPERTY and isinstance(value, Measured)
    ]
    if not rows:
        return
    full = config.getoption("--parity-table", default=False)
    groups: dict[tuple[str, str, str], list[Measured]] = {}
    for row in rows:
        groups.setdefault((row.card, row.kind, row.version) if full else (row.card, "all", ""), []).append(row)
    terminalreporter.section("parity with the fixtures")
    terminalreporter.line(
        f"{'card':4}  {'kind':22} {'version':9} {'cases':>5} {'failed':>6} {'max error':>10} tolerance"
    )
    for (card, kind, version), found in sorted(groups.items()):
        failed, error = sum(bool(row.wrong) for row in found), max(row.error for row in found)
        tolerances = " ".join(f"{limit:g}" for limit in sorted({row.tolerance for row in found}))
        terminalreporter.line(f"{card:4}  {kind:22} {version:9} {len(found):5} {failed:6} {error:10.1e} {tolerances}")
