"""Calling a model: copies of a state, and parts of compiled models."""

from __future__ import annotations

from typing import Any

import pytest

from ponder.engines import online_calls as calls

pytestmark = pytest.mark.torch


def test_a_copy_of_a_state_shares_nothing_and_holds_only_what_is_shown() -> None:
    import torch

    whole = torch.arange(1000.0)
    state: dict[str, Any] = {"part": whole[3:5], "deep": [(whole[:1], 2, None)], "other": {1: {"a"}}}
    copy = calls.copied(state)
    assert copy["part"].untyped_storage().nbytes() == 8
    whole.zero_()
    state["other"][1].add("b")
    assert copy["part"].tolist() == [3, 4]
    assert copy["deep"][0][0].tolist() == [0]
    assert copy["deep"][0][1:] == (2, None)
    assert copy["other"] == {1: {"a"}}
    assert [len(tensor) for tensor in calls.tensors_in(copy)] == [2, 1]


@pytest.mark.parametrize("way", ["whole", "part", "in place", "not"])
def test_compiled_models_are_known(way: str) -> None:
    import torch
    from torch import nn

    model: Any = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    if way == "whole":
        model = torch.compile(model, backend="eager")
    elif way == "part":
        model[0] = torch.compile(model[0], backend="eager")
    elif way == "in place":
        model[0].compile(backend="eager")
    assert calls.is_compiled(model) == (way != "not")
    assert calls.hooks_in(model) == 0
    model.register_forward_pre_hook(lambda *_: None)
    assert calls.hooks_in(model) == 1


def test_rows_are_counted_and_taken_from_tensors_and_mappings() -> None:
    import torch

    x = torch.arange(6).view(3, 2)
    for rows in (torch.tensor([2, 0]), torch.tensor([True, False, True])):
        assert calls.rows_of(calls.take({"a": x, "b": x[:, 0]}, rows)) == 2
        assert calls.take({"a": x}, rows)["a"].equal(calls.take(x, rows))
    assert calls.rows_of({}) == 0
