"""The mean pairwise slope of measured curves."""

from __future__ import annotations

import pytest

from ponder.bench.metrics.scaling import Scaling
from ponder.core.errors import ConfigError
from tests.bench.bench_doubles import row
from tests.bench.metrics.metric_doubles import bench


def test_slope_is_the_mean_over_pairs_of_places() -> None:
    rows = [row("a", n > 1, n=n) for n in (1, 2, 4)]  # 15, 30 and 60 tokens
    (found,) = Scaling().compute(rows)
    assert found.value == pytest.approx((1 / 15 + 1 / 45 + 0) / 3)
    assert found.interval is None


def test_interval_holds_the_slope_of_many_prompts() -> None:
    (found,) = Scaling().compute(bench(20))
    assert found.value is not None
    assert found.interval is not None
    assert found.interval[0] <= found.value <= found.interval[1]


def test_prompts_that_lack_a_place_are_left_out() -> None:
    rows = [row("a", False, n=1), row("a", True, n=2), row("b", True, n=1)]
    (found,) = Scaling().compute(rows)
    assert found.value == pytest.approx(1 / 15)
    assert found.note.startswith("1 prompts")


def test_places_of_one_cost_have_no_slope() -> None:
    rows = [row("a", True, n=n, costs={"usd": 1.0}) for n in (1, 2)]
    (found,) = Scaling(cost="usd").compute(rows)
    assert (found.value, found.note) == (None, "two places cost the same")


def test_unknown_unit_is_refused() -> None:
    with pytest.raises(ConfigError):
        Scaling(cost="minutes")  # type: ignore[arg-type]
