"""EATA and ETA: the worked example of card 48, the limits, the penalty, and that skipped samples are really skipped."""

from __future__ import annotations

import logging
import math
from copy import deepcopy
from typing import Any

import pytest

from ponder import adapt
from ponder.adapt.eata import fisher_information
from ponder.core.errors import BadInput, ConfigError

pytestmark = pytest.mark.torch
FIRST = [[3, 0, 1], [0, 2, -1], [1, 1.1, 0.9], [-1, 0, 4]]
SECOND = [[0, 3, -1], [4, -1, 0], [-1, 1, 5]]
CARD: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "margin": 0.4 * math.log(3), "similarity": 0.4}


def rows(values: Any) -> Any:
    import torch

    return torch.tensor(values, dtype=torch.float64)


def worked() -> Any:
    """The network of the card's example."""
    import torch

    head = torch.nn.Linear(3, 3, bias=False)
    head.weight.data = torch.tensor([[2.0, -1, 0], [0, 2, -1], [-1, 0, 2]])
    return torch.nn.Sequential(torch.nn.LayerNorm(3), head).double()


def test_worked_example_of_the_card() -> None:
    adapter = adapt.ETA(worked(), **CARD)
    adapter(rows(FIRST))
    assert adapter.evidence["entropy"].tolist() == pytest.approx([0.047974, 0.047974, 0.059244, 0.054100], abs=1e-6)
    assert adapter._average.tolist() == pytest.approx([0.252469, 0.497300, 0.250231], abs=1e-6)
    assert adapter.parameters["0.weight"].tolist() == pytest.approx([1.008820, 1.014157, 1.012123], abs=1e-6)
    assert adapter.parameters["0.bias"].tolist() == pytest.approx([-3.07450e-3, 5.72323e-3, -2.64873e-3], abs=1e-8)
    before = adapter.parameters["0.weight"].tolist()
    adapter(rows(SECOND))
    assert adapter.evidence["cosine"].tolist() == pytest.approx([0.816446, 0.418797, 0.413590], abs=1e-6)
    assert (adapter.reliable, adapter.selected) == (7, 4)
    assert adapter.parameters["0.weight"].tolist() == before
    assert adapter.cost.backwards == 1, "a batch that selects nothing has no backward"


@pytest.mark.parametrize(
    ("each", "weight", "bias"),
    [
        (
            "batch",
            [1.252221e-4, 3.249163e-4, 2.764883e-4],
            [1.651913e-4, 9.861662e-5, 4.483365e-5],
        ),
        (
            "sample",
            [2.387079e-4, 4.715788e-4, 3.151781e-4],
            [2.324509e-4, 3.118646e-4, 1.988758e-4],
        ),
    ],
)
def test_both_definitions_of_the_fisher_information(each: Any, weight: list[float], bias: list[float]) -> None:
    data = rows(FIRST)
    adapter = adapt.EATA(worked(), source=[data[:2], (data[2:], [0, 1])], fisher=each, **CARD)
    assert adapter.importance["0.weight"].tolist() == pytest.approx(weight, rel=1e-5)
    assert adapter.importance["0.bias"].tolist() == pytest.approx(bias, rel=1e-5)


def test_without_filter_weights_and_penalty_it_is_tent() -> None:
    from tests.adapt.networks import batches, mlp

    tent = adapt.Tent(mlp(), lr=0.1)
    eta = adapt.ETA(mlp(), lr=0.1, margin=math.inf, similarity=math.inf, weighted=False, backward="masked")
    eata = adapt.EATA(
        mlp(), lr=0.1, margin=math.inf, similarity=math.inf, weighted=False, source=batches(), fisher_weight=0
    )
    for x in batches():
        wanted = tent(x)
        assert eta(x).equal(wanted)
        assert eata(x).allclose(wanted, atol=1e-6)


def test_a_heavy_penalty_holds_the_parameters() -> None:
    import torch

    from tests.adapt.networks import batches, mlp

    free, held = (
        adapt.EATA(mlp(), lr=1e-4, margin=9.0, similarity=2.0, source=batches(), fisher="sample", fisher_weight=weight)
        for weight in (0.0, 1e4)
    )
    for x in batches(30):
        free(x), held(x)
    start = torch.ones(16)
    moved = [float((a.parameters["1.weight"].detach() - start).norm()) for a in (free, held)]
    assert moved[1] < 0.5 * moved[0]


def test_gradient_of_the_penalty_is_twice_weight_importance_distance() -> None:
    """The released rule adds the penalty to the loss and lets autograd differentiate it; ours is written out."""
    import torch

    from tests.adapt.networks import batches, mlp

    adapter = adapt.EATA(mlp(), source=batches(), fisher_weight=7.0)
    origin = {name: point.detach().clone() for name, point in adapter.parameters.items()}
    with torch.no_grad():
        for point in adapter.parameters.values():
            point.add_(0.3 * torch.rand_like(point))
    adapter.parameters["1.bias"].grad = torch.ones_like(adapter.parameters["1.bias"])
    adapter._hold()
    penalty = 7.0 * sum((adapter.importance[n] * (p - origin[n]).square()).sum() for n, p in adapter.parameters.items())
    wanted = torch.autograd.grad(penalty, list(adapter.parameters.values()))
    assert adapter.penalty() == pytest.approx(float(penalty.detach()), rel=1e-5)
    for (name, point), gradient in zip(adapter.parameters.items(), wanted, strict=True):
        assert point.grad is not None
        assert torch.allclose(point.grad, gradient + (1.0 if name == "1.bias" else 0.0), rtol=1e-4)


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_selected_rows_alone_give_the_numbers_of_the_masked_batch_for_less(norm: str) -> None:
    from tests.adapt.networks import batches, mlp

    settings: dict[str, Any] = {"lr": 0.1, "margin": 1.25, "similarity": 0.97}
    masked = adapt.ETA(mlp(norm), backward="masked", **settings)
    alone = adapt.ETA(mlp(norm), backward="auto", **settings)
    for x in batches(6, 16):
        assert masked(x).allclose(alone(x), atol=1e-5)
    assert 0 < alone.selected == masked.selected < 96
    assert alone.cost.backward_samples == alone.selected
    assert masked.cost.backward_samples == 16 * masked.cost.backwards
    assert alone.cost.forward_samples == 96 + alone.selected


def test_batch_norms_are_masked_unless_told_otherwise() -> None:
    from tests.adapt.networks import ConvToy, batches

    stream = batches(6, 16, shape=(3, 6, 6))
    auto, told = (
        adapt.ETA(ConvToy(), margin=1.385, similarity=0.9999, lr=0.1, backward=way) for way in ("auto", "selected")
    )
    for x in stream:
        auto(x), told(x)
    assert auto.cost.backward_samples == 16 * auto.cost.backwards > 0
    assert told.cost.backward_samples == told.selected > 0


def test_counts_are_ordered_and_only_a_selection_moves_anything() -> None:
    from tests.adapt.networks import batches, mlp, same_state

    adapter = adapt.ETA(mlp(), margin=1e-6, lr=1.0)
    for x in batches():
        adapter(x)
    assert (adapter.reliable, adapter.selected, adapter.cost.updates) == (0, 0, 0)
    assert same_state(mlp().state_dict(), adapter.model.state_dict())
    other = adapt.ETA(mlp(), margin=1.3, lr=0.1)
    for x in batches(10):
        other(x)
    assert 0 < other.selected <= other.reliable <= 80


def test_reset_clears_the_average_unless_released() -> None:
    from tests.adapt.networks import batches, mlp

    cases: list[tuple[Any, bool]] = [("paper", False), ("released", True)]
    for parity, kept in cases:
        adapter = adapt.ETA(mlp(), margin=9.0, parity=parity)
        adapter(batches()[0])
        adapter.reset()
        assert (adapter._average is not None) is kept
        assert (adapter.selected > 0) is kept


def test_a_filter_that_fits_nothing_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    from tests.adapt.networks import batches, mlp

    adapter = adapt.ETA(mlp(), margin=1e-6)
    with caplog.at_level(logging.WARNING):
        for x in batches(120, 2):
            adapter(x)
    assert [record.message for record in caplog.records] == [
        "the filter let none of 100 samples through: margin or similarity do not fit this model"
    ]


@pytest.mark.parametrize("settings", [{"backward": "some"}, {"parity": "code"}])
def test_wrong_words_are_refused(settings: dict[str, Any]) -> None:
    from tests.adapt.networks import mlp

    with pytest.raises(ConfigError):
        adapt.ETA(mlp(), **settings)


def test_eata_needs_source_batches() -> None:
    from tests.adapt.networks import batches, mlp

    with pytest.raises(ConfigError, match="ETA does without"):
        adapt.EATA(mlp())
    with pytest.raises(BadInput, match="holds no batch"):
        adapt.EATA(mlp(), source=[])
    with pytest.raises(ConfigError, match="fisher_weight"):
        adapt.EATA(mlp(), source=batches(), fisher_weight=-1)


def test_importance_of_a_parameter_that_plays_no_part_is_zero() -> None:
    import torch

    model = worked()
    idle = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    found = fisher_information(model, {"idle": idle, "bias": model[0].bias}, [rows(FIRST)])
    assert found["idle"].tolist() == [0, 0]
    assert found["bias"].sum() > 0


def test_layers_that_were_kept_change_no_number_and_save_their_work() -> None:
    import torch

    from ponder.engines._kept_layers import KeptLayers
    from tests.engines.test_kept_layers import convolutions, count_products

    stream = [torch.randn(8, 2, 9, 9, generator=torch.Generator().manual_seed(seed)) for seed in range(12)]
    model, products, results = convolutions(), [], []
    for keeps in (True, False):
        adapter = adapt.ETA(deepcopy(model), lr=1e-3)
        adapter._margin = 1.0
        adapter._filter = lambda logits: (logits[:, 0] > logits[:, 0].median()).nonzero().squeeze(1)  # type: ignore[method-assign]
        adapter._kept = KeptLayers(adapter.model, worth=0) if keeps else None
        with count_products() as counted:
            results.append([adapter(x) for x in stream])
        products.append(counted[0])
        assert adapter.cost.backward_samples == 48
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(*results, strict=True))
    assert products == [12 * (3 + 1), 12 * (6 + 1)], "one more each is the product in the backward pass"
