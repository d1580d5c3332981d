"""ARISE over rows."""

from __future__ import annotations

import pytest

from ponder.bench.metrics.arise import Arise
from ponder.core.errors import ConfigError
from tests.bench.bench_doubles import row


def measured(*rows: object) -> dict[str, float | None]:
    return {measure.name: measure.value for measure in Arise().compute(list(rows))}  # type: ignore[arg-type]


def test_score_weighs_losses_more_than_gains_while_the_slope_sees_nothing() -> None:
    # Tokens double: one question gains 1/2, the other loses 2.
    found = measured(row("a", False, n=1), row("a", True, n=2), row("b", True, n=1), row("b", False, n=2))
    assert found == {
        "arise": pytest.approx(-0.75),
        "drops": 0.5,
        "severe_drops": 0.5,
        "first_to_last_slope": 0.0,
    }


def test_runs_of_several_seeds_are_averaged_per_question() -> None:
    found = measured(row("a", False, n=1), row("a", True, n=2), row("a", False, n=2, seed=1))
    assert found["arise"] == pytest.approx(0.25)


def test_single_place_has_no_score() -> None:
    assert measured(row("a", True)) == {"arise": None}


def test_unknown_unit_is_refused() -> None:
    with pytest.raises(ConfigError):
        Arise(cost="minutes")  # type: ignore[arg-type]
