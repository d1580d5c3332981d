"""Right answers per cost, and E3."""

from __future__ import annotations

import pytest

from ponder.bench.metrics.efficiency import Efficiency
from ponder.core.errors import ConfigError
from tests.bench.bench_doubles import row


def test_eta_and_e3_follow_their_formulas() -> None:
    eta, e3 = Efficiency().compute([row("a", True), row("b", False)])  # 15 tokens each, 5 of them written
    assert [eta.name, e3.name] == ["eta", "e3"]
    assert eta.value == pytest.approx(0.5 / 15)
    assert e3.value == pytest.approx(50**2 / 5)


def test_unknown_cost_leaves_eta_missing_and_e3_known() -> None:
    eta, e3 = Efficiency(cost="eflops").compute([row("a", True, costs={"eflops": 2.0}), row("b", True)])
    assert (eta.value, e3.value) == (None, 2000.0)
    assert "eflops" in eta.note


def test_unknown_unit_is_refused() -> None:
    with pytest.raises(ConfigError):
        Efficiency(cost="minutes")  # type: ignore[arg-type]
