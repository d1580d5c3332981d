"""Pytest plugin that prints how far our numbers were from the papers' fixtures at most.

A run that holds parity tests ends with one line a card; `--parity-table` (as in `make parity`) gives one a kind.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from tests.parity.cases import Measured

PROPERTY = "parity"


def to_property(measured: Measured) -> dict[str, Any]:
    """Turn into plain values, which a report carries from a worker to the table."""
    wrong = {path: float(error) for path, error in measured.wrong.items()}
    return asdict(measured) | {
        "error": float(measured.error),
        "tolerance": float(measured.tolerance),
        "wrong": wrong,
    }


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity-table", action="store_true", help="list the largest error of every kind of case")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table of cards x cases x largest error."""
    rows = [
        Measured(**value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == PROPERTY and isinstance(value, dict)
    ]
    if not rows:
        return
    full = config.getoption("--parity-table")
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
