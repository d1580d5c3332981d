"""SAR: the worked example of card 47, its limits, empty batches, and starting anew."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ponder import adapt
from ponder.adapt.sar import climb, descend
from ponder.core.errors import ConfigError
from tests.adapt.sar_example import CARD, FIRST_WEIGHT, ROWS, SECOND_WEIGHT, rows, worked

pytestmark = pytest.mark.torch


def sar(**settings: Any) -> adapt.SAR:
    return adapt.SAR(worked(), **{**CARD, "exclude": (), **settings})


def weight(adapter: Any) -> list[float]:
    found: list[float] = adapter.parameters["0.weight"].tolist()
    return found


def test_worked_example_of_the_card() -> None:
    adapter = sar()
    adapter(rows(ROWS))
    assert adapter.evidence["entropy"].tolist() == pytest.approx([0.416700, 0.416700, 0.687461, 0.428858], abs=1e-6)
    assert adapter.evidence["selected"].tolist() == [True, True, False, True]
    assert adapter.evidence["norm"] == pytest.approx(0.436440, abs=1e-6)
    assert weight(adapter) == pytest.approx(FIRST_WEIGHT, abs=1e-7)
    assert adapter.parameters["0.bias"].tolist() == pytest.approx([-7.37723e-4, 9.10728e-4, -1.73007e-4], abs=1e-8)
    assert adapter._loss_average == pytest.approx(0.4429435, abs=1e-7)
    adapter(rows(ROWS))
    assert weight(adapter) == pytest.approx(SECOND_WEIGHT, abs=1e-7)
    assert adapter._loss_average == pytest.approx(0.4409381, abs=1e-7)


def test_without_climbing_it_is_tent_on_the_reliable() -> None:
    adapter = sar(rho=0.0)
    adapter(rows(ROWS))
    assert weight(adapter) == pytest.approx([1.0246558, 1.0252753, 1.0256253], abs=1e-7)


def test_without_filter_climbing_and_reset_it_is_tent() -> None:
    from tests.adapt.networks import batches, mlp

    tent = adapt.Tent(mlp(), lr=0.1)
    adapter = adapt.SAR(mlp(), lr=0.1, rho=0.0, margin=math.inf, reset_below=None, exclude=())
    for x in batches():
        assert adapter(x).allclose(tent(x), atol=1e-6)


def test_an_empty_batch_makes_no_step_unless_released() -> None:
    for parity, wanted in (("paper", FIRST_WEIGHT), ("released", [1.0483231, 1.0497102, 1.0503527])):
        adapter = sar(parity=parity)
        adapter(rows(ROWS))
        adapter(rows(ROWS[2:3]))
        assert weight(adapter) == pytest.approx(wanted, abs=1e-7)


def test_reset_clears_the_momentum() -> None:
    adapter = sar()
    adapter(rows(ROWS)), adapter(rows(ROWS))
    adapter.reset()
    adapter(rows(ROWS))
    assert weight(adapter) == pytest.approx(FIRST_WEIGHT, abs=1e-7)


@pytest.mark.parametrize("adaptive", [False, True])
def test_climbing_goes_rho_far_and_back(adaptive: bool) -> None:
    import torch

    torch.manual_seed(0)
    points = [torch.nn.Parameter(torch.randn(3).double()), torch.nn.Parameter(torch.randn(2, 2).double())]
    before = [p.detach().clone() for p in points]
    sum((p**3).sum() for p in points).backward()
    held, norm = climb(points, 0.05, adaptive=adaptive)
    assert norm > 0
    moves = [(p.detach() - b) / (b.abs() if adaptive else 1) for p, b in zip(points, before, strict=True)]
    assert float(torch.cat([m.flatten() for m in moves]).norm()) == pytest.approx(0.05, abs=1e-9)
    descend(points, held)
    assert all(p.equal(b) for p, b in zip(points, before, strict=True))


def test_a_gradient_of_zero_moves_nothing() -> None:
    import torch

    point = torch.nn.Parameter(torch.ones(2))
    point.grad = torch.zeros(2)
    climb([point], 0.5)
    assert point.tolist() == [1, 1]


def test_it_starts_anew_when_the_loss_is_suspiciously_low() -> None:
    from tests.adapt.networks import same_state

    adapter = sar(reset_below=1.0)
    adapter(rows(ROWS))
    assert adapter.resets == 1
    assert adapter.evidence["reset"]
    assert adapter._loss_average is None
    assert same_state(worked().state_dict(), adapter.model.state_dict())
    adapter.reset()
    assert adapter.resets == 0


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_the_selected_alone_give_the_numbers_of_the_whole_second_pass_for_less(norm: str) -> None:
    from tests.adapt.networks import batches, mlp

    whole, alone = (
        adapt.SAR(mlp(norm), lr=0.1, margin=1.25, exclude=(), second=way, reset_below=None) for way in ("whole", "auto")
    )
    for x in batches(6, 16):
        assert whole(x).allclose(alone(x), atol=1e-5)
    assert alone.cost.backward_samples < whole.cost.backward_samples


def test_top_layers_stay_by_default() -> None:
    import torch

    net = torch.nn.Sequential(*(torch.nn.LayerNorm(4) for _ in range(4)), torch.nn.Linear(4, 3))
    assert list(adapt.SAR(net).parameters) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize("settings", [{"rho": -1.0}, {"second": "half"}, {"parity": "code"}, {"reset_below": "never"}])
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        sar(**settings)
