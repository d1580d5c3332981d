from __future__ import annotations

import math
import random

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.logistic import Logistic, choose_penalty, fit_logistic

pytest.importorskip("numpy")


def planted(rows: int, *, noise: int, seed: int = 0) -> tuple[list[list[float]], list[float]]:
    """Features of which the first decides: P = sigmoid(2 x), labels are means of 20 draws."""
    stream = random.Random(seed)
    features, targets = [], []
    for _ in range(rows):
        x = [stream.gauss(0, 1) for _ in range(1 + noise)]
        p = 1 / (1 + math.exp(-2 * x[0]))
        features.append(x)
        targets.append(sum(stream.random() < p for _ in range(20)) / 20)
    return features, targets


def test_fit_recovers_a_planted_law() -> None:
    law = fit_logistic(*planted(800, noise=3), penalty=0.1)
    assert law.weights[0] == pytest.approx(2.0, abs=0.15)
    assert max(map(abs, law.weights[1:])) < 0.15
    assert abs(law.bias) < 0.15


def test_constant_features_fit_the_mean() -> None:
    law = fit_logistic([[3.0], [3.0], [3.0], [3.0]], [1.0, 0.5, 0.5, 0.0], penalty=1.0)
    assert law.weights == (0.0,)
    assert law.predict([3.0]) == pytest.approx(0.5)


def test_one_feature_has_the_closed_form() -> None:
    # Two points, hardly any penalty: the law passes through both labels. Source: logit by hand.
    law = fit_logistic([[0.0], [1.0]], [0.25, 0.75], penalty=1e-9)
    assert law.bias == pytest.approx(-math.log(3), abs=1e-4)
    assert law.weights[0] == pytest.approx(2 * math.log(3), abs=1e-4)


def test_separable_data_and_huge_scales_stay_finite() -> None:
    law = fit_logistic([[1e6], [2e6], [3e6], [4e6]], [0.0, 0.0, 1.0, 1.0], penalty=0.1)
    assert law.predict([1e6]) < 0.5 < law.predict([4e6])
    assert law.predict([1e12]) == 1.0
    assert law.predict([-1e12]) == 0.0


def test_stronger_penalty_gives_smaller_weights() -> None:
    data = planted(100, noise=0)
    weak, strong = fit_logistic(*data, penalty=0.1), fit_logistic(*data, penalty=1000.0)
    assert 0 < strong.weights[0] < weak.weights[0]


def test_penalty_is_strong_where_there_is_nothing_to_learn_and_weak_where_there_is() -> None:
    stream = random.Random(1)
    noise = [[stream.gauss(0, 1) for _ in range(30)] for _ in range(60)]
    coins = [float(stream.random() < 0.5) for _ in range(60)]
    groups = [i // 3 for i in range(60)]
    assert choose_penalty(noise, coins, groups) >= 100
    features, targets = planted(200, noise=0)
    assert choose_penalty(features, targets, list(range(200))) <= 1
    assert choose_penalty(features, targets, ["one"] * 200, penalties=(1.0, 5.0)) == 5.0


def test_bad_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="penalty"):
        fit_logistic([[1.0]], [1.0], penalty=0)
    for features, targets in (([], []), ([[1.0], [1.0, 2.0]], [0.0, 1.0]), ([[1.0]], [2.0]), ([[math.nan]], [1.0])):
        with pytest.raises(BadInput):
            fit_logistic(features, targets, penalty=1.0)
    with pytest.raises(BadInput, match="weights"):
        Logistic((1.0,), 0.0).predict([1.0, 2.0])
