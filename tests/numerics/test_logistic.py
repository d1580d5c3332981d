from __future__ import annotations

import math
import random

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.logistic import Logistic, cross_validate, fit_logistic

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


def test_a_weight_is_worth_as_many_rows() -> None:
    features, targets = planted(20, noise=1)
    counts = [1 + at % 3 for at in range(20)]
    rows = [at for at in range(20) for _ in range(counts[at])]
    # Rows of equal spread, so that features are standardised alike.
    features = [[*row, 0.0] for row in features] + [[-x for x in row] + [0.0] for row in features]
    targets, counts = targets + targets[::-1], counts + counts
    rows += [at + 20 for at in rows]
    weighted = fit_logistic(features, targets, penalty=1e-9, weights=counts)
    repeated = fit_logistic([features[at] for at in rows], [targets[at] for at in rows], penalty=1e-9)
    assert weighted.weights == pytest.approx(repeated.weights, abs=1e-5)
    assert weighted.bias == pytest.approx(repeated.bias, abs=1e-5)


def best(losses: dict[float, float]) -> float:
    return min(losses, key=lambda penalty: losses[penalty])


def test_unseen_groups_ask_for_a_strong_penalty_where_there_is_nothing_to_learn_and_a_weak_one_where_there_is() -> None:
    stream = random.Random(1)
    noise = [[stream.gauss(0, 1) for _ in range(30)] for _ in range(60)]
    coins = [float(stream.random() < 0.5) for _ in range(60)]
    assert best(cross_validate(noise, coins, [i // 3 for i in range(60)])) >= 100
    features, targets = planted(200, noise=0)
    assert best(cross_validate(features, targets, list(range(200)))) <= 1


def test_cross_validation_is_the_loss_of_fits_without_the_group() -> None:
    features, targets = planted(12, noise=1)
    groups, counts = [i // 2 for i in range(12)], [1.0 + i % 4 for i in range(12)]
    (found,) = cross_validate(features, targets, groups, penalties=(2.0,), weights=counts, folds=3).values()
    total = 0.0
    for part in range(3):
        seen = [i for i in range(12) if groups[i] % 3 != part]
        law = fit_logistic(
            [features[i] for i in seen], [targets[i] for i in seen], penalty=2.0, weights=[counts[i] for i in seen]
        )
        for i in set(range(12)) - set(seen):
            p = law.predict(features[i])
            total -= counts[i] * (targets[i] * math.log(p) + (1 - targets[i]) * math.log(1 - p))
    assert found == pytest.approx(total / sum(counts))


def test_bad_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="penalty"):
        fit_logistic([[1.0]], [1.0], penalty=0)
    for features, targets in (([], []), ([[1.0], [1.0, 2.0]], [0.0, 1.0]), ([[1.0]], [2.0]), ([[math.nan]], [1.0])):
        with pytest.raises(BadInput):
            fit_logistic(features, targets, penalty=1.0)
    for weights in ([0.0], [math.inf], [1.0, 1.0]):
        with pytest.raises(BadInput, match="weight"):
            fit_logistic([[1.0]], [1.0], penalty=1.0, weights=weights)
    for groups in (["one", "one"], ["one", "two", "three"]):
        with pytest.raises(BadInput, match="two groups"):
            cross_validate([[1.0], [2.0]], [0.0, 1.0], groups)
    with pytest.raises(BadInput, match="weights"):
        Logistic((1.0,), 0.0).predict([1.0, 2.0])
