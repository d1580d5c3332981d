"""Priors under label shift: the worked numbers of card 58, ranges, and the estimators against the truth."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.label_shift import (
    adjusted_losses,
    bound_prior,
    confusion_prior,
    confusion_weights,
    corrected_logits,
    em_prior,
    imbalance_degree,
    power_prior,
)
from ponder.numerics.online_metrics import total_variation

TAIL = [0.5399, 0.2553, 0.1207, 0.0571, 0.0270]  # the card's toy, ratio 20
priors = st.lists(st.floats(0.05, 1), min_size=3, max_size=6).map(lambda w: [v / sum(w) for v in w])


def test_degree_is_1_at_the_source_0_at_uniform_and_minus_1_reversed() -> None:
    tail = power_prior([8, 4, 2, 1], 1)
    assert imbalance_degree(tail, tail) == pytest.approx(1)
    assert imbalance_degree([0.25] * 4, tail) == pytest.approx(0)
    assert imbalance_degree(tail[::-1], tail) == pytest.approx(-1)


def test_uniform_source_has_no_axis() -> None:
    assert imbalance_degree([0.5, 0.5], [0.5, 0.5]) is None


@given(priors)
def test_powers_of_a_prior(prior: list[float]) -> None:
    assert power_prior(prior, 1) == pytest.approx(prior)
    assert power_prior(prior, 0) == pytest.approx([1 / len(prior)] * len(prior))
    assert power_prior(power_prior(prior, -1), -1) == pytest.approx(prior)


def test_loss_has_the_cards_value() -> None:
    loss = adjusted_losses([[2, 1, 0]], [2], [0.7, 0.2, 0.1], [0.1, 0.2, 0.7])
    assert loss == pytest.approx([5.945661], abs=1e-6)


def test_correction_has_the_cards_value() -> None:
    logits = corrected_logits([math.log(p) for p in (0.6, 0.3, 0.1)], [0.7, 0.2, 0.1], [0.1, 0.2, 0.7])
    raised = [math.exp(z) for z in logits]
    assert [r / sum(raised) for r in raised] == pytest.approx([0.078947, 0.276316, 0.644737], abs=1e-6)


@given(priors, st.randoms(use_true_random=False))
def test_correcting_there_and_back_changes_nothing(source: list[float], rng: random.Random) -> None:
    target = power_prior(source, rng.uniform(-1, 1))
    row = [rng.gauss(0, 2) for _ in source]
    there = corrected_logits(row, source, target)
    assert corrected_logits(there, target, source) == pytest.approx(row)


def test_training_and_correction_have_opposite_signs() -> None:
    """The loss of corrected logits is the plain cross-entropy: the optimum of card 58, step A3."""
    row, source, target = [0.3, -1.0, 2.0], [0.7, 0.2, 0.1], [0.1, 0.2, 0.7]
    corrected = corrected_logits(row, source, target)
    plain = adjusted_losses([row], [1], source, source)
    assert adjusted_losses([corrected], [1], source, target) == pytest.approx(plain)


def test_bounded_prior_has_no_zero_and_sums_to_one() -> None:
    found = bound_prior([1.0, 0.0])
    assert min(found) > 0
    assert sum(found) == pytest.approx(1)


def toy(target: list[float], count: int, rng: random.Random) -> tuple[list[list[float]], list[int]]:
    """Exact posteriors under TAIL of samples whose classes come from `target`: Gaussians on a circle (card 58)."""
    middles = [(1.5 * math.cos(2 * math.pi * c / 5), 1.5 * math.sin(2 * math.pi * c / 5)) for c in range(5)]
    rows, labels = [], rng.choices(range(5), target, k=count)
    for label in labels:
        x, y = rng.gauss(middles[label][0], 1), rng.gauss(middles[label][1], 1)
        raised = [p * math.exp(-((x - a) ** 2 + (y - b) ** 2) / 2) for p, (a, b) in zip(TAIL, middles, strict=True)]
        rows.append([r / sum(raised) for r in raised])
    return rows, labels


@pytest.mark.parametrize("power", [0, -1])
def test_em_finds_the_prior_from_calibrated_posteriors_and_beats_the_running_mean(power: int) -> None:
    target = power_prior(TAIL, power)
    rows, _ = toy(target, 6000, random.Random(3))
    found = em_prior(rows, TAIL, rounds=200, tolerance=1e-6)
    assert total_variation(found, target) < 0.03
    running = [0.2] * 5  # the estimate of card 58, with the corrected posterior as the adapted head
    for at in range(0, len(rows), 64):
        ratio = [p / s for p, s in zip(running, TAIL, strict=True)]
        raised = [[p * r for p, r in zip(row, ratio, strict=True)] for row in rows[at : at + 64]]
        scaled = [[v / sum(row) for v in row] for row in raised]
        mean = [sum(column) / len(scaled) for column in zip(*scaled, strict=True)]
        running = [0.9 * a + 0.1 * b for a, b in zip(running, mean, strict=True)]
    assert total_variation(found, target) < total_variation(running, target)


def test_confusion_matrix_finds_the_prior() -> None:
    target = power_prior(TAIL, -1)
    source_rows, source_labels = toy(TAIL, 20_000, random.Random(4))
    table = [[0.0] * 5 for _ in range(5)]
    for row, label in zip(source_rows, source_labels, strict=True):
        table[row.index(max(row))][label] += 1 / len(source_rows)
    rows, _ = toy(target, 20_000, random.Random(5))
    votes = [sum(row.index(max(row)) == c for row in rows) / len(rows) for c in range(5)]
    assert total_variation(confusion_prior(table, votes, TAIL), target) < 0.06


@given(priors)
def test_weights_solve_the_system(predicted: list[float]) -> None:
    size = len(predicted)
    table = [[(2.0 if at == to else 0.3) / size for to in range(size)] for at in range(size)]
    found = confusion_weights(table, predicted)
    back = [sum(a * w for a, w in zip(row, found, strict=True)) for row in table]
    assert back == pytest.approx(predicted)


@pytest.mark.parametrize(
    "call",
    [
        lambda: imbalance_degree([1.0], [0.5, 0.5]),
        lambda: power_prior([1.0, 0.0], 1),
        lambda: corrected_logits([0.0, 0.0], [1.0, 0.0], [0.5, 0.5]),
        lambda: em_prior([], [0.5, 0.5]),
        lambda: confusion_weights([[1.0]], [0.5, 0.5]),
        lambda: confusion_weights([[0.5, 0.5], [0.0, 0.0]], [1.0, 0.0]),
        lambda: confusion_prior([[-1.0, 0.0], [0.0, -1.0]], [0.5, 0.5], [0.5, 0.5]),
    ],
)
def test_bad_input_is_refused(call: object) -> None:
    with pytest.raises(BadInput):
        call()  # type: ignore[operator]


def test_negative_rounds_are_refused() -> None:
    with pytest.raises(ConfigError):
        em_prior([[0.5, 0.5]], [0.5, 0.5], rounds=-1)
