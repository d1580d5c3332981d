"""Votes of neighbours: the card's example, limits of the temperature, and brute force."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.memory_vote import ball_applies, confidence, neighbours, unit_rows, vote, vote_of_nearest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def tensor(values: Any) -> Any:
    return torch.tensor(values, dtype=torch.float64)


def test_example_of_the_card() -> None:
    keys = unit_rows(tensor([[1, 0], [1, 0.2], [0, 1], [-0.2, 1]]))
    cosine = unit_rows(tensor([[1, 0.8]])) @ keys.T
    assert cosine[0].tolist() == pytest.approx([0.780869, 0.888218, 0.624695, 0.459423], abs=1e-6)
    scores = vote_of_nearest(cosine, torch.tensor([0, 0, 1, 1]), 2, k=3, temperature=0.1)
    assert scores[0].tolist() == pytest.approx([0.949283, 0.050737], abs=1e-6)
    assert float(confidence(scores)[0]) == pytest.approx(0.949283, abs=1e-6)
    assert float(confidence(scores, kind="double_softmax")[0]) == pytest.approx(0.710651, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(1, 15), st.integers(0, 10**6))
def test_votes_equal_brute_force(entries: int, k: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    cosine = 2 * torch.rand(3, entries, generator=draw, dtype=torch.float64) - 1
    labels = torch.randint(4, (entries,), generator=draw)
    scores = vote_of_nearest(cosine, labels, 4, k=k, temperature=0.3)
    for row, found in zip(cosine.tolist(), scores.tolist(), strict=True):
        best = sorted(range(entries), key=lambda at: -row[at])[:k]
        weights = [math.exp(row[at] / 0.3) for at in best]
        for c in range(4):
            share = sum(w for at, w in zip(best, weights, strict=True) if labels[at] == c) / sum(weights)
            assert found[c] == pytest.approx(min(1, share + 1e-5))


def test_temperature_goes_from_nearest_neighbour_to_majority_share() -> None:
    near, labels = tensor([[0.9, 0.5, 0.4]]), torch.tensor([[1, 0, 0]])
    assert vote(near, labels, 2, 1e-3)[0].tolist() == pytest.approx([0, 1], abs=2e-5)
    assert vote(near, labels, 2, 1e9)[0].tolist() == pytest.approx([2 / 3, 1 / 3], abs=2e-5)


def test_double_softmax_never_passes_its_bound() -> None:
    for classes in (2, 5, 10, 65):
        scores = torch.zeros(1, classes)
        scores[0, 0] = 1
        assert float(confidence(scores, kind="double_softmax")) == pytest.approx(math.e / (math.e + classes - 1))


def test_one_far_query_switches_the_ball_off() -> None:
    cosine = tensor([[0.95, 0.2], [0.5, 0.1]])
    assert not ball_applies(cosine, 0.9)
    assert ball_applies(cosine[:1], 0.9)
    assert not ball_applies(cosine[:1], 1.1)


def test_zero_rows_stay_zero() -> None:
    assert unit_rows(torch.zeros(1, 3)).tolist() == [[0, 0, 0]]


def test_what_cannot_vote_is_refused() -> None:
    with pytest.raises(BadInput):
        neighbours(torch.zeros(2, 0), 3)
    with pytest.raises(ConfigError):
        neighbours(torch.zeros(2, 4), 0)
    with pytest.raises(ConfigError):
        vote(torch.zeros(1, 2), torch.zeros(1, 2).long(), 2, 0.0)
