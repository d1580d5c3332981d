"""No adapter puts a tensor on a device of its own: all run where a tensor made without a device would be elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ponder import adapt
from ponder.core.registry import Entry
from tests.conformance.test_adapters import every_adapter, inputs, make

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@contextmanager
def elsewhere() -> Iterator[None]:
    """Inside, a tensor made without a device has no values, so that it cannot meet those of the model unnoticed."""
    with torch.device("meta"):
        yield


@every_adapter
def test_adapters_stay_on_the_device_of_the_model(entry: Entry) -> None:
    here, there = make(entry), make(entry)
    expected = [here(x) for x in inputs(entry)]
    for x, logits in zip(inputs(entry), expected, strict=True):
        with elsewhere():
            found = there(x)
        assert found.device == x.device
        assert found.equal(logits)
    with elsewhere():
        state = there.state_dict()
        there.reset()
        there.load_state_dict(state)


@pytest.mark.parametrize(
    "settings",
    [{"per": "batch"}, {"per": "mixture"}, {"how": "vmap"}, {"how": "loop"}, {"rule": "entropy", "offset": True}],
)
def test_ways_to_merge_stay_there_too(settings: dict[str, Any]) -> None:
    from tests.conformance.adapter_makers import MAKERS

    entry = next(p for p in adapters() if p.name == "t3_merging")
    here, there = (MAKERS["t3_merging"].make(entry, **settings) for _ in range(2))
    x = inputs(entry)[0]
    with elsewhere():
        found = there(x)
    assert found.equal(here(x))


@pytest.mark.parametrize("settings", [{"norm_steps": 2}, {"radius": 0.1}, {"parity": "released"}, {"index": "faiss"}])
def test_ways_to_vote_stay_there_too(settings: dict[str, Any]) -> None:
    entry = next(p for p in adapters() if p.name == "adanpc")
    there = make(entry, **settings)
    x = inputs(entry)[0]
    with elsewhere():
        assert there(x).isfinite().all()


@pytest.mark.parametrize("correction", ["network", "posthoc"])
def test_ways_to_follow_the_mix_stay_there_too(correction: str) -> None:
    entry = next(p for p in adapters() if p.name == "label_shift")
    there = make(entry, estimator="em", correction=correction)
    x = inputs(entry)[0]
    with elsewhere():
        assert there(x).isfinite().all()


def test_streams_take_inputs_to_the_device_they_are_told() -> None:
    x, y = torch.randn(8, 4), torch.arange(8) % 2
    stream = adapt.make_stream([adapt.Domain(name="a", x=x, y=y)], batch=4)
    seen: list[str] = []

    def model(batch: Any) -> Any:
        seen.append(batch.device.type)
        return torch.zeros(len(batch), 2)

    adapt.run_stream(adapt.Source(model), stream, device="meta", clean=[(x, y)])
    assert set(seen) == {"meta"}


def adapters() -> list[Entry]:
    from ponder.core import registry

    return registry.adapters.entries()
