"""Distance from a wanted length."""

from __future__ import annotations

import pytest

from ponder.bench.metrics.length_deviation import LengthDeviation
from ponder.core.errors import ConfigError
from tests.bench.bench_doubles import row


def test_deviation_is_relative_to_the_wanted_tokens() -> None:
    mean, rms = LengthDeviation(wanted=10).compute([row("a", True, n=1), row("a", True, n=1, seed=1)])  # 5 written
    assert (mean.value, rms.value) == (0.5, 0.5)


def test_wanted_tokens_come_from_the_setting_of_the_method() -> None:
    rows = [row("a", True, settings={"thinking_tokens": 4}), row("b", True, settings={"thinking_tokens": None})]
    mean, _ = LengthDeviation().compute(rows)
    assert (mean.value, mean.prompts) == (0.25, 1)


def test_nothing_wanted_is_missing() -> None:
    assert {measure.value for measure in LengthDeviation().compute([row("a", True)])} == {None}


def test_wanted_length_of_0_is_refused() -> None:
    with pytest.raises(ConfigError):
        LengthDeviation(wanted=0)
