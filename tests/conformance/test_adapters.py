"""One battery over every registered adapter, on models with and without batch norm."""

from __future__ import annotations

import dataclasses
import json
from copy import deepcopy
from typing import Any

import pytest

from ponder.core import registry
from ponder.core.registry import Entry
from tests.conformance.adapter_makers import MAKERS

pytestmark = pytest.mark.torch
ENTRIES = registry.adapters.entries()
every_adapter = pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])
FAST = {"training": 20, "lr": 0.05}  # settings that some adapters have and that make the battery quick and lively


def toys() -> Any:
    from tests.adapt import networks

    return networks


def make(entry: Entry, **more: Any) -> Any:
    """Build an adapter on a fresh toy model, with what it declares to need."""
    if entry.name in MAKERS:
        return MAKERS[entry.name].make(entry, **more)
    from torch import tensor

    known = {f.name for f in dataclasses.fields(entry.cls) if f.init}
    settings: dict[str, Any] = {name: value for name, value in FAST.items() if name in known}
    if "source" in known:
        settings["source"] = [(x, tensor([0, 1, 2, 3] * 2)) for x in stream(seed=5)]
    return entry.make(model=toys().ConvToy(), **settings, **more)


def stream(**more: Any) -> list[Any]:
    found: list[Any] = toys().batches(shape=(3, 6, 6), **more)
    return found


def inputs(entry: Entry, **more: Any) -> list[Any]:
    return list(MAKERS[entry.name].inputs(**more)) if entry.name in MAKERS else stream(**more)


@every_adapter
def test_predicts_one_row_of_finite_logits_for_each_sample(entry: Entry) -> None:
    adapter = make(entry)
    for x in inputs(entry):
        logits = adapter(x)
        assert logits.dim() == 2
        assert len(logits) == len(x)
        assert logits.isfinite().all()
        assert not logits.requires_grad
    assert adapter.cost.samples == sum(map(len, inputs(entry)))
    assert adapter.cost.batches == len(inputs(entry))


@every_adapter
def test_reset_makes_it_the_same_again_bit_by_bit(entry: Entry) -> None:
    adapter = make(entry)
    before = deepcopy(adapter.state_dict())
    first = [adapter(x) for x in inputs(entry)]
    adapter.reset()
    assert same(before, adapter.state_dict())
    assert all(a.equal(b) for a, b in zip(first, map(adapter, inputs(entry)), strict=True))


@every_adapter
def test_two_of_a_kind_agree(entry: Entry) -> None:
    one, two = make(entry), make(entry)
    assert all(one(x).equal(two(x)) for x in inputs(entry))


@every_adapter
def test_saved_state_continues_elsewhere(entry: Entry) -> None:
    adapter, other = make(entry), make(entry)
    *head, last = inputs(entry)
    for x in head:
        adapter(x)
    other.load_state_dict(adapter.state_dict())
    assert adapter(last).equal(other(last))


@every_adapter
def test_frozen_calls_leave_no_trace(entry: Entry) -> None:
    adapter = make(entry)
    *head, last = inputs(entry)
    for x in head:
        adapter(x)
    state, cost = deepcopy(adapter.state_dict()), dataclasses.replace(adapter.cost)
    with adapter.frozen():
        logits = adapter(last)
        assert logits.equal(adapter(last))
    assert same(state, adapter.state_dict())
    assert cost == adapter.cost


@every_adapter
def test_single_samples_and_odd_batches_are_taken(entry: Entry) -> None:
    adapter = make(entry)
    for size in (1, 5, 3, 1):
        for x in inputs(entry, count=2, size=size):
            assert len(adapter(x)) == size


@every_adapter
def test_a_sample_that_is_not_finite_does_not_spoil_what_follows(entry: Entry) -> None:
    adapter = make(entry)
    good, bad, *rest = inputs(entry)
    adapter(good)
    bad = bad.clone()
    bad[0] = float("nan")
    adapter(bad)
    for x in rest:
        assert adapter(x).isfinite().all()


@every_adapter
def test_restore_gives_the_model_back(entry: Entry) -> None:
    adapter = make(entry)
    model = adapter._module
    fresh = make(entry)
    for x in inputs(entry):
        adapter(x)
    adapter.restore()
    fresh.restore()
    assert same(dict(model.state_dict()), dict(fresh._module.state_dict()))
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())


@every_adapter
def test_settings_and_access_are_declared(entry: Entry) -> None:
    adapter = make(entry)
    assert json.loads(json.dumps(adapter.settings)) == adapter.settings
    assert adapter.access
    assert "source_data" not in entry.needs or "source_data" in adapter.access
    assert "torch" in entry.needs


def same(left: Any, right: Any) -> bool:
    """Whether two nests of containers and tensors hold the same bits."""
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left.equal(right)) if hasattr(left, "equal") else left == right
