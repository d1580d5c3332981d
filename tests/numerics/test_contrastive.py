"""Contrastive losses and class weights: the card's numbers and invariances."""

from __future__ import annotations

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.contrastive import class_weight, cosines, dropout_views, pair_accuracy, pair_loss, standardised

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

X = torch.tensor([[1, 0], [0, 1], [0.6, 0.8]], dtype=torch.float64)
T = torch.tensor([[1, 0.2], [0.1, 1], [1, 1]], dtype=torch.float64)


def test_loss_of_the_card() -> None:
    table = cosines(X, T)
    assert table[0].tolist() == pytest.approx([0.980581, 0.099504, 0.707107], abs=1e-6)
    assert float(pair_loss(X, T)) == pytest.approx(0.1320521, abs=1e-7)


def test_scale_does_not_matter() -> None:
    torch.testing.assert_close(pair_loss(5 * X, 0.1 * T), pair_loss(X, T))


def test_two_prompts_are_averaged_on_the_circle() -> None:
    weight = class_weight(torch.eye(2, dtype=torch.float64))
    assert weight.tolist() == pytest.approx([0.707107, 0.707107], abs=1e-6)
    torch.testing.assert_close(class_weight(X[2:].repeat(4, 1)), class_weight(X[2:]))


def test_one_pair_has_no_loss_and_no_top_five() -> None:
    assert float(pair_loss(X[:1], T[:1])) == 0
    assert pair_accuracy(X[:1], T[:1]) == 100
    assert pair_accuracy(X, T, top=5) is None


def test_views_scale_what_is_kept() -> None:
    (view,) = dropout_views(torch.ones(1, 2), [torch.eye(2)], [torch.tensor([[1.0, 0.0]])], rate=0.5)
    assert view.tolist() == [[2, 0]]


def test_standardised_scores_lie_around_one_half() -> None:
    scores = standardised(torch.tensor([[1.0, 3.0]]))
    assert float(scores.mean()) == pytest.approx(0.5)


def test_bad_pairs() -> None:
    with pytest.raises(BadInput):
        pair_loss(X, T[:2])
    with pytest.raises(BadInput):
        pair_loss(X[:0], T[:0])
    with pytest.raises(ConfigError):
        pair_loss(X, T, temperature=0)
