"""The sliding window: what it predicts is what the adapter inside says of the last samples, cut to the newest."""

from __future__ import annotations

from typing import Any

import pytest

from ponder import adapt
from ponder.core.errors import BadInput, ConfigError
from tests.adapt.networks import CLASSES, ConvToy, batches, mlp, same_state

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def pictures(count: int) -> Any:
    return batches(1, count, shape=(3, 6, 6))[0]


def test_single_samples_are_normalised_by_the_last_few() -> None:
    x = pictures(9)
    adapter = adapt.SlidingWindow(adapt.BatchNorm(ConvToy()), window=4)
    whole = adapt.BatchNorm(ConvToy())
    for at in range(9):
        expected = whole(x[max(0, at - 3) : at + 1])[-1:]
        assert adapter(x[at : at + 1]).allclose(expected, atol=1e-6)
    assert adapter.cost.samples == adapter.cost.batches == 9
    assert adapter.cost.forward_samples == 1 + 2 + 3 + 4 * 6


def test_the_adapter_inside_learns_once_a_window() -> None:
    x = pictures(8)
    inside, plain = adapt.Tent(ConvToy(), lr=0.1), adapt.Tent(ConvToy(), lr=0.1)
    adapter = adapt.SlidingWindow(inside, window=4)
    updated = []
    for at in range(8):
        adapter(x[at : at + 1])
        updated.append(adapter.evidence["updated"])
    for part in x.split(4):
        plain(part)
    assert updated == [False, False, False, True] * 2
    assert same_state(inside.model.state_dict(), plain.model.state_dict())
    assert adapter.cost.updates == 2


def test_updates_may_come_more_often() -> None:
    adapter = adapt.SlidingWindow(adapt.Tent(ConvToy(), lr=0.1), window=4, every=2)
    for part in pictures(8).split(1):
        adapter(part)
    assert adapter.cost.updates == 4


def test_a_batch_as_large_as_the_window_is_the_adapters_own() -> None:
    adapter, plain = adapt.SlidingWindow(adapt.Tent(ConvToy(), lr=0.1), window=8), adapt.Tent(ConvToy(), lr=0.1)
    assert all(adapter(x).equal(plain(x)) for x in batches(3, 8, shape=(3, 6, 6)))


def test_frozen_predicts_among_the_held_and_keeps_nothing() -> None:
    x = pictures(6)
    adapter = adapt.SlidingWindow(adapt.BatchNorm(ConvToy()), window=3)
    adapter(x[:4])
    assert adapter.held.equal(x[1:4]), "a larger batch is cut to the window"
    with adapter.frozen():
        first, again = adapter(x[4:5]), adapter(x[4:5])
    assert first.equal(again)
    assert first.equal(adapter(x[4:5]))


def test_samples_that_are_not_finite_are_forgotten() -> None:
    x = pictures(6)
    x[2] = float("nan")
    adapter = adapt.SlidingWindow(adapt.BatchNorm(ConvToy()), window=4)
    for part in x.split(1):
        last = adapter(part)
    assert last.isfinite().all()
    assert len(adapter.held) == 4


def test_models_called_by_keywords_and_inference_mode() -> None:
    from torch import nn

    class Named(nn.Module):  # type: ignore[misc]  # torch is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp("batch")

        def forward(self, values: Any, flags: Any) -> Any:
            return self.net(values) + flags[:, None]

    adapter = adapt.SlidingWindow(adapt.Tent(Named(), lr=0.1), window=4)
    with torch.inference_mode():
        for values in batches(5, 2):
            assert adapter({"values": values, "flags": torch.ones(2)}).shape == (2, CLASSES)
    assert len(adapter.held["flags"]) == 4


def test_a_first_sample_alone_that_its_batch_norm_cannot_take_is_refused() -> None:
    adapter = adapt.SlidingWindow(adapt.Tent(mlp("batch"), lr=0.1), window=4)
    with pytest.raises(BadInput, match="one sample"):
        adapter(batches(1, 1)[0])


@pytest.mark.parametrize("settings", [{"window": 0}, {"every": 0}])
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        adapt.SlidingWindow(ConvToy(), **settings)
