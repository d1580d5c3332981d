from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.simultaneous import simultaneous_lows


def test_one_candidate_has_the_normal_limit() -> None:
    values = np.random.default_rng(0).normal(0.3, 1.0, 400)
    (low,) = simultaneous_lows([values.tolist()], resamples=20000)
    error = values.std(ddof=1) / math.sqrt(400)
    assert low == pytest.approx(values.mean() - statistics.NormalDist().inv_cdf(0.95) * error, abs=0.05 * error)


def test_independent_candidates_have_the_limit_of_the_largest_of_as_many() -> None:
    values = np.random.default_rng(1).normal(size=(20, 1000))
    lows = np.array(simultaneous_lows(values.tolist(), resamples=8000))
    reach = (values.mean(axis=1) - lows) / (values.std(axis=1, ddof=1) / math.sqrt(1000))
    assert reach == pytest.approx(statistics.NormalDist().inv_cdf(0.95 ** (1 / 20)), abs=0.09)


def test_copies_cost_nothing_and_more_candidates_never_raise_a_limit() -> None:
    values = np.random.default_rng(2).normal(size=(3, 200)).tolist()
    assert simultaneous_lows([values[0]] * 5) == pytest.approx(simultaneous_lows(values[:1]) * 5)
    assert simultaneous_lows(values)[0] <= simultaneous_lows(values[:1])[0]


def test_all_limits_hold_together_as_often_as_they_say() -> None:
    rng, held = np.random.default_rng(3), 0
    for trial in range(200):
        shared = rng.normal(size=100)
        values = 0.7 * shared + rng.normal(size=(15, 100))  # every true mean is 0
        held += max(simultaneous_lows(values.tolist(), level=0.9, seed=trial, resamples=300)) <= 0.0
    assert 0.84 <= held / 200 <= 0.96


def test_shift_and_scale_carry_over_and_constants_are_sure() -> None:
    values = np.random.default_rng(4).normal(size=(4, 50))
    lows = np.array(simultaneous_lows(values.tolist()))
    assert simultaneous_lows((3.0 * values + 1.0).tolist()) == pytest.approx((3.0 * lows + 1.0).tolist())
    assert simultaneous_lows([[0.5, 0.5, 0.5], [0.0, 0.0, 0.0]]) == [0.5, 0.0]
    assert simultaneous_lows(values.tolist(), seed=1) == simultaneous_lows(values.tolist(), seed=1)


@pytest.mark.parametrize("values", [[], [[]], [[1.0]], [[1.0, 2.0], [1.0]]])
def test_too_few_values_are_refused(values: list[list[float]]) -> None:
    with pytest.raises(BadInput, match="two or more questions"):
        simultaneous_lows(values)


@pytest.mark.parametrize("wrong", [{"level": 0.0}, {"level": 1.0}, {"resamples": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="level must be"):
        simultaneous_lows([[0.0, 1.0]], **wrong)  # type: ignore[arg-type]
