"""Batch-norm statistics: its two ends, the mixture by hand, and models without statistics."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from ponder import adapt
from ponder.core.errors import BadInput, ConfigError

pytestmark = pytest.mark.torch


def trained() -> Any:
    """A toy whose running statistics are not those of the test batches."""
    from tests.adapt.networks import ConvToy, batches

    model = ConvToy().train()
    for x in batches(20, seed=9, shape=(3, 6, 6)):
        model(0.5 * x - 1)
    return model.eval()


def stream() -> list[Any]:
    from tests.adapt.networks import batches

    return batches(shape=(3, 6, 6))


def test_alpha_0_is_the_source() -> None:
    model = trained()
    adapter = adapt.BatchNorm(deepcopy(model), alpha=0)
    for x in stream():
        assert adapter(x).equal(model(x).detach())


def test_alpha_1_is_tent_without_learning() -> None:
    whole, still = adapt.BatchNorm(trained(), alpha=1), adapt.Tent(trained(), lr=0)
    for x in stream():
        assert whole(x).allclose(still(x), atol=1e-5)


@pytest.mark.parametrize(("settings", "share"), [({"alpha": 0.1}, 0.1), ({"prior": 24}, 8 / (24 + 8))])
def test_mixture_is_what_one_writes_by_hand(settings: dict[str, Any], share: float) -> None:
    model = trained()
    norm = model.norm
    x = stream()[0]
    h = model.conv(x)
    mean = (1 - share) * norm.running_mean + share * h.mean((0, 2, 3))
    var = (1 - share) * norm.running_var + share * h.var((0, 2, 3), correction=0)
    normal = (h - mean[:, None, None]) / (var[:, None, None] + norm.eps).sqrt()
    normal = normal * norm.weight[:, None, None] + norm.bias[:, None, None]
    wanted = model.head(normal.relu().mean((2, 3)))
    assert adapt.BatchNorm(trained(), **settings)(x).allclose(wanted, atol=1e-5)


def test_a_large_prior_is_the_source() -> None:
    model = trained()
    x = stream()[0]
    assert adapt.BatchNorm(trained(), prior=1e9)(x).allclose(model(x), atol=1e-4)


def test_nothing_of_a_batch_stays() -> None:
    adapter = adapt.BatchNorm(trained())
    for x in stream():
        adapter(x)
    assert adapter.model.norm.running_mean.equal(trained().norm.running_mean)


def test_models_without_statistics_are_refused() -> None:
    import torch

    from tests.adapt.networks import mlp

    with pytest.raises(BadInput, match="no batch norm"):
        adapt.BatchNorm(mlp())
    with pytest.raises(BadInput, match="no running statistics"):
        adapt.BatchNorm(torch.nn.Sequential(torch.nn.BatchNorm1d(2, track_running_stats=False)))


@pytest.mark.parametrize("settings", [{"alpha": 1.5}, {"alpha": -0.1}, {"prior": -1.0}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        adapt.BatchNorm(trained(), **settings)
