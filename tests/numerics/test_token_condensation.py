"""Token condensation: counts, coresets, layer weights and corrections against the card's numbers and brute force."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.token_condensation import (
    affinity,
    average_rank,
    condense,
    coreset,
    correction,
    counts,
    layer_weights,
    least_useful,
    select,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    ("rate", "lengths"), [(0.1, (143, 104, 77)), (0.035, (182, 167, 155)), (0.05, (173, 152, 134)), (0.2, (83, 38, 20))]
)
def test_token_counts_of_197_tokens(rate: float, lengths: tuple[int, ...]) -> None:
    tokens = 197
    for wanted in lengths:
        tokens = counts(tokens - 1, rate).tokens(4, fused=True)
        assert tokens == wanted


@pytest.mark.parametrize(("patches", "rate"), [(49, 0.6), (9, 0.4), (16, 0.01)])
def test_counts_refuse_rates_that_do_not_fit(patches: int, rate: float) -> None:
    with pytest.raises(BadInput):
        counts(patches, rate)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, math.nan])
def test_counts_refuse_rates_out_of_range(rate: float) -> None:
    with pytest.raises(ConfigError):
        counts(100, rate)


@given(st.integers(16, 400), st.floats(0.02, 0.25))
def test_every_patch_is_kept_merged_or_dropped(patches: int, rate: float) -> None:
    try:
        share = counts(patches, rate)
    except BadInput:
        return
    assert sum(share) == patches
    parts = select(torch.rand(3, patches), share)
    assert sorted(torch.cat(list(parts)).tolist()) == list(range(patches))


def test_rank_and_mean_differ_where_one_head_shouts() -> None:
    attention = torch.tensor([[0.90, 0.05, 0.03, 0.02], [0.01, 0.33, 0.33, 0.33], [0.01, 0.30, 0.34, 0.35]])
    share = counts(4, 0.2, centres=0)
    assert select(attention, share, score="mean").kept[0] == 0
    assert average_rank(attention).argmax() != 0


def test_coreset_of_the_card() -> None:
    points = torch.tensor([[0, 0], [0.1, 0], [0, 0.2], [5, 5], [5.2, 5], [10, 0]], dtype=torch.float64)
    found = coreset(points, 0, 3)
    assert found.centres.tolist() == [0, 5, 3]
    wanted = torch.tensor([[0.0625, 0.0625], [10, 0], [5 + 1 / 6, 5]], dtype=torch.float64)
    torch.testing.assert_close(found.merged, wanted)


def test_empty_clusters_are_dropped_or_zero() -> None:
    same = torch.ones(6, 3)
    assert coreset(same, 2, 4).merged.tolist() == [[1.0, 1.0, 1.0]]
    assert coreset(same, 2, 4, keep_empty=True).merged.shape == (4, 3)


def test_coreset_needs_a_first_centre() -> None:
    with pytest.raises(BadInput):
        coreset(torch.ones(3, 2), 3)


def test_condense_keeps_the_class_token_first_and_shortens() -> None:
    tokens, attention = torch.randn(65, 8), torch.rand(4, 64)
    for fuse in (False, True):
        out = condense(tokens, attention, 0.1, first=7, fuse=fuse)
        assert torch.equal(out[0], tokens[0])
        assert len(out) == counts(64, 0.1).tokens(4, fused=fuse)
        assert bool(torch.isfinite(out).all())


def test_without_centres_the_middle_stays_as_in_evit() -> None:
    tokens, attention = torch.randn(33, 4), torch.rand(2, 32)
    out = condense(tokens, attention, 0.1, first=0, centres=0, score="mean", fuse=True)
    share = counts(32, 0.1, centres=0)
    order = attention.mean(0).argsort(descending=True)
    kept, rest = order[: share.kept + share.middle], order[share.kept + share.middle :]
    torch.testing.assert_close(out[1:-1], tokens[1:][kept])
    torch.testing.assert_close(out[-1], (attention.mean(0)[rest][:, None] * tokens[1:][rest]).sum(0))


@pytest.mark.parametrize(
    ("scale", "place", "wanted"),
    [(1, 0, 0.0481), (1, -1, 0.1309), (0.1, -1, 0.5971), (0.01, -1, 0.9999), (5, 0, 0.0753)],
)
def test_layer_weights_of_the_card(scale: float, place: int, wanted: float) -> None:
    weights = layer_weights(12, scale, torch.zeros(1, dtype=torch.float64))
    assert float(weights[place]) == pytest.approx(wanted, abs=5e-5)
    assert float(weights.sum()) == pytest.approx(1)


@pytest.mark.parametrize(("near", "wanted"), [(1.0, 3.0), (0.9, 1.819592), (0.8, 1.103638), (0.5, 0.246255)])
def test_kernel_of_the_card(near: float, wanted: float) -> None:
    delta = correction(torch.tensor([near], dtype=torch.float64), torch.tensor([1]), 3, strength=3, sharpness=5)
    assert delta.tolist() == pytest.approx([0, wanted, 0], abs=1e-6)


def test_affinity_of_an_image_to_itself_is_one() -> None:
    tokens = torch.randn(5, 7, dtype=torch.float64)
    weights = layer_weights(5, 0.3, tokens)
    assert float(affinity(tokens, tokens[None], weights)[0]) == pytest.approx(1)


def test_the_uncertain_or_redundant_image_goes() -> None:
    apart = torch.eye(3)
    assert least_useful(torch.tensor([0.1, 2.0, 0.3]), apart) == 1
    twins = torch.tensor([[1.0, 0.0], [1.0, 0.01], [-1.0, 0.0]])
    assert least_useful(torch.tensor([0.5, 0.6, 0.55]), twins) == 1


@pytest.mark.parametrize(("layers", "scale"), [(0, 1.0), (3, 0.0), (3, -1.0)])
def test_layer_weights_refuse_nonsense(layers: int, scale: float) -> None:
    with pytest.raises(ConfigError):
        layer_weights(layers, scale, torch.zeros(1))
