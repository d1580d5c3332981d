"""Coefficients of merging: the card's numbers, ranges, limits, and what does not fit."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.model_merging import (
    Coefficient,
    entropies,
    entropy_offset,
    entropy_weight,
    js_divergence,
    merge,
    slerp,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def tensor(values: Any) -> Any:
    return torch.tensor(values, dtype=torch.float64)


LAWS = tensor([[0.6, 0.3, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0, 0, 1]])


def test_divergences_and_weights_of_the_card() -> None:
    js = js_divergence(LAWS[:1].expand(4, 3), LAWS)
    assert js.tolist() == pytest.approx([0, 0.0069589, 0.1580178, 0.5255973], abs=1e-7)
    assert Coefficient().weight(js).tolist() == pytest.approx([0.5, 0.5008699, 0.5197420, 0.5653241], abs=1e-7)
    assert Coefficient(gamma=10).weight(js).tolist() == pytest.approx([0.5, 0.5173901, 0.8292297, 0.9948108], abs=1e-7)
    assert float(Coefficient().weight(js[:3]).mean()) == pytest.approx(0.5068706, abs=1e-7)
    assert float(Coefficient().weight(js[:3].mean())) == pytest.approx(0.5068736, abs=1e-7)


def test_disjoint_laws_are_ln_2_apart() -> None:
    assert float(js_divergence(tensor([1, 0]), tensor([0, 1]))) == pytest.approx(math.log(2))


@given(st.lists(st.floats(-20, 20), min_size=3, max_size=3), st.lists(st.floats(-20, 20), min_size=3, max_size=3))
def test_divergence_is_symmetric_and_bounded(left: list[float], right: list[float]) -> None:
    p, q = tensor(left).softmax(-1), tensor(right).softmax(-1)
    assert float(js_divergence(p, q)) == pytest.approx(float(js_divergence(q, p)), abs=1e-12)
    assert 0 <= float(js_divergence(p, q)) <= math.log(2)


def test_entropy_weight_of_the_card() -> None:
    pt, ft = (entropies(LAWS[at : at + 1].log()) for at in (0, 2))
    assert (float(pt), float(ft)) == pytest.approx((0.8979457, 0.6390319), abs=1e-7)
    assert float(entropy_weight(pt, ft)) == pytest.approx(0.5643693, abs=1e-7)


def test_center_and_extrapolation_widen() -> None:
    rule = Coefficient(gamma=10, center=0.2, extrapolate=0.5)
    assert float(rule.weight(tensor(0.2))) == pytest.approx(0.5)
    assert float(rule.weight(tensor(math.log(2)))) > 1 > float(Coefficient(gamma=10).weight(tensor(math.log(2))))


@pytest.mark.parametrize("settings", [{"low": 0.6, "high": 0.4}, {"extrapolate": -0.1}, {"gamma": math.inf}])
def test_bounds_must_make_sense(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Coefficient(**settings)


def test_merge_is_linear_and_keeps_whole_numbers() -> None:
    one = {"w": tensor([2.0, 4.0]), "n": torch.tensor([3])}
    two = {"w": tensor([0.0, 0.0]), "n": torch.tensor([5])}
    assert merge(one, two, 0.25)["w"].tolist() == [0.5, 1.0]
    assert merge(one, two, 0.25)["n"].tolist() == [3]
    batched = merge(one, two, tensor([0.0, 1.0]))
    assert batched["w"].tolist() == [[0, 0], [2, 4]]
    assert batched["n"].tolist() == [[3], [3]]


def test_models_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInput, match="same tensors"):
        merge({"a": torch.ones(1)}, {"b": torch.ones(1)}, 0.5)
    with pytest.raises(BadInput, match="shape"):
        merge({"a": torch.ones(1)}, {"a": torch.ones(2)}, 0.5)
    with pytest.raises(BadInput):
        slerp(0.5, torch.ones(2), torch.ones(3))
    with pytest.raises(BadInput):
        entropy_offset(torch.ones(1), torch.ones(1))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_slerp_of_unit_vectors_stays_on_the_circle(alpha: float) -> None:
    out = slerp(alpha, tensor([1.0, 0.0]), tensor([0.0, 1.0]))
    assert out.tolist() == pytest.approx([math.cos(alpha * math.pi / 2), math.sin(alpha * math.pi / 2)])
