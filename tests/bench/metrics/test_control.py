"""Runs within a range of tokens."""

from __future__ import annotations

import pytest

from ponder.bench.metrics.control import Control
from ponder.core.errors import ConfigError
from tests.bench.bench_doubles import row


def test_control_is_the_share_within_the_range() -> None:
    rows = [row("a", True, candidates=1), row("b", True, usage={}), row("c", True)]  # 15, 0 and 15 tokens
    (found,) = Control(low=10, high=20).compute(rows)
    assert found.value == pytest.approx(2 / 3)


def test_range_comes_from_the_budget_of_the_run() -> None:
    rows = [row("a", True, budget="tokens=15"), row("b", True, budget="tokens=14"), row("c", True, budget="usd=1")]
    (found,) = Control().compute(rows)
    assert (found.value, found.prompts) == (0.5, 2)


def test_without_any_range_it_is_missing() -> None:
    (found,) = Control().compute([row("a", True)])
    assert found.value is None


def test_empty_range_is_refused() -> None:
    with pytest.raises(ConfigError):
        Control(low=2, high=1)
