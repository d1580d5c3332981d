"""Cost against accuracy over all curves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ponder.bench.metrics.frontier import Frontier
from ponder.core.errors import ConfigError
from tests.bench.bench_doubles import row

# 15 tokens at 0.5, 30 tokens at 1, and another curve that is as dear and worse.
ROWS = [
    row("a", False, n=1),
    row("b", True, n=1),
    row("a", True, n=2),
    row("b", True, n=2),
    row("a", False, n=2, curve="worse"),
    row("b", True, n=2, curve="worse"),
]


def test_places_that_are_beaten_are_off_the_frontier() -> None:
    found = {(m.group.curve, m.group.n): m.value for m in Frontier().compute(ROWS) if m.name == "on_frontier"}
    assert found == {("vote", 1): 1.0, ("vote", 2): 1.0, ("worse", 2): 0.0}


def test_hypervolume_states_its_reference() -> None:
    volume = next(m for m in Frontier(reference_cost=40).compute(ROWS) if m.name == "hypervolume")
    assert volume.value == pytest.approx(15 * 0.5 + 10 * 1.0)
    assert volume.note == "reference: 40 tokens, accuracy 0"
    default = next(m for m in Frontier().compute(ROWS) if m.name == "hypervolume")
    assert default.note.startswith("reference: 60 tokens")


def test_area_is_the_mean_height_over_log_cost() -> None:
    found = {m.group.curve: m.value for m in Frontier().compute(ROWS) if m.name == "log_cost_area"}
    assert found == {"vote": pytest.approx(0.75), "worse": None}


def test_tokens_keep_models_apart_and_money_brings_them_together() -> None:
    rows = [replace(r, model=m, costs={"usd": 0.1}) for r in ROWS for m in ("small", "large")]
    assert sum(m.name == "hypervolume" for m in Frontier().compute(rows)) == 2
    assert sum(m.name == "hypervolume" for m in Frontier(cost="usd").compute(rows)) == 1


@pytest.mark.parametrize("wrong", [{"cost": "time"}, {"reference_cost": 0.0}, {"reference_accuracy": 2.0}])
def test_bad_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        Frontier(**wrong)
