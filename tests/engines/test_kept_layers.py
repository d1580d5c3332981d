"""Kept layers: a second pass over some rows has the gradients of running them again, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from torch import Tensor

pytestmark = pytest.mark.torch


def net(*layers: Any) -> Any:
    """Return the layers in a row with only norms to learn."""
    from torch import nn

    model = nn.Sequential(*layers)
    for module in model.modules():
        if not list(module.children()):
            module.requires_grad_(type(module).__name__ in ("GroupNorm", "LayerNorm"))
    return model.eval()


def convolutions() -> Any:
    """Return a net for pictures (N, 2, H, W)."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    return net(
        nn.Conv2d(2, 4, 3, 2, 1), nn.GroupNorm(2, 4), nn.ReLU(inplace=True),
        nn.Conv2d(4, 8, 3, padding=2, dilation=2, groups=2), nn.GroupNorm(2, 8), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 3),
    )  # fmt: skip


def gradients(model: Any, run: Callable[[], Tensor]) -> list[Tensor]:
    """Return the gradients of the learnt parameters after a sum of squares."""
    model.zero_grad(set_to_none=True)
    run().square().sum().backward()
    return [p.grad.clone() for p in model.parameters() if p.requires_grad]


def twice(model: Any, x: Tensor, rows: Tensor) -> tuple[list[Tensor], int]:
    """Return the gradients of two passes that keep, and how many layers were computed again."""
    import torch

    from ponder.engines._kept_layers import KeptLayers

    kept = KeptLayers(model)
    for part in (torch.arange(len(x) - 1), rows):  # the first time proves the layers
        with torch.no_grad(), kept.first():
            model(x)
        with kept.again(part, len(x)):
            with count_products() as counted:
                out = model(x[part])
            found = gradients(model, lambda out=out: out)  # type: ignore[misc]
    return found, counted[0]


@contextmanager
def count_products() -> Iterator[list[int]]:
    """Count convolutions and matrix products of the forward passes inside, in a list of one number."""
    from torch.utils._python_dispatch import TorchDispatchMode

    counted = [0]

    class Mode(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            counted[0] += func.__name__.split(".")[0] in ("convolution", "addmm", "mm")
            return func(*args, **(kwargs or {}))

    with Mode():
        yield counted


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9).flatmap(lambda b: st.tuples(st.just(b), st.sets(st.integers(0, b - 1), min_size=1))))
def test_gradients_are_those_of_running_the_rows_again(case: tuple[int, set[int]]) -> None:
    import torch

    batch, chosen = case
    model, rows = convolutions(), torch.tensor(sorted(chosen))
    x = torch.randn(batch, 2, 9, 9, generator=torch.Generator().manual_seed(batch))
    found, computed = twice(model, x, rows)
    for ours, theirs in zip(found, gradients(model, lambda: model(x[rows])), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert computed == 0


def blocks(name: str) -> tuple[Any, tuple[int, ...], int]:
    """Return a net, the shape of a sample and how many of its layers have to be computed again."""
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Seconds(nn.Module):  # type: ignore[misc]
        """Sequence first, as torch's own attention has it inside."""

        def forward(self, x: Tensor) -> Tensor:
            return x.transpose(0, 1).contiguous()

    class Flat(nn.Module):  # type: ignore[misc]
        """The places of a sample as rows of their own."""

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(0, 1)

    class Twice(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.line = nn.LayerNorm(4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.line(self.norm(self.line(self.norm(x))))
            return out

    made: dict[str, tuple[Any, tuple[int, ...], int]] = {
        "conv1d": (net(nn.GroupNorm(1, 3), nn.Conv1d(3, 4, 3, stride=2), nn.GroupNorm(2, 4)), (3, 11), 0),
        "conv3d": (net(nn.GroupNorm(1, 2), nn.Conv3d(2, 4, 2), nn.GroupNorm(2, 4)), (2, 4, 4, 4), 0),
        "places": (net(nn.LayerNorm(4), nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2)), (5, 4), 0),
        "one layer twice": (net(Twice()), (5, 4), 0),
        "written over": (net(nn.GroupNorm(1, 2), nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True)), (2, 5, 5), 1),
        "sequence first": (net(nn.LayerNorm(4), Seconds(), nn.Linear(4, 6), nn.LayerNorm(6)), (6, 4), 1),
        "places as rows": (net(nn.LayerNorm(4), Flat(), nn.Linear(4, 6), nn.LayerNorm(6)), (5, 4), 1),
        "circular": (net(nn.GroupNorm(1, 2), nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular")), (2, 5, 5), 1),
        "by name": (net(nn.GroupNorm(1, 2), nn.Conv2d(2, 3, 3, padding="same")), (2, 5, 5), 1),
    }
    return made[name]


NAMES = "conv1d, conv3d, places, one layer twice, written over, sequence first, places as rows, circular, by name"


@pytest.mark.parametrize("name", NAMES.split(", "))
def test_what_cannot_be_kept_is_computed(name: str) -> None:
    """Also where the batch is as long as the sequence, so that shapes alone would not tell."""
    import torch

    model, shape, again = blocks(name)
    x, rows = torch.randn(6, *shape), torch.tensor([0, 2, 5])
    found, computed = twice(model, x, rows)
    assert computed == again
    for ours, theirs in zip(found, gradients(model, lambda: model(x[rows])), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_model_that_changes_the_order_of_its_rows_is_found_out() -> None:
    import torch
    from torch import nn

    class Sorted(nn.Module):  # type: ignore[misc]
        def forward(self, x: Tensor) -> Tensor:
            return x[x.sum(1).argsort(descending=True)]

    model = net(nn.LayerNorm(4), Sorted(), nn.Linear(4, 3))
    x, rows = torch.randn(8, 4), torch.tensor([1, 2, 6])
    found, computed = twice(model, x * torch.arange(1, 9)[:, None], rows)
    wanted = gradients(model, lambda: model((x * torch.arange(1, 9)[:, None])[rows]))
    assert computed == 1
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(found, wanted, strict=True))


def test_layers_that_learn_are_computed() -> None:
    import torch
    from torch import nn

    model = net(nn.LayerNorm(4), nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 3))
    model[1].bias.requires_grad_(True)
    x, rows = torch.randn(6, 4), torch.tensor([0, 3])
    found, computed = twice(model, x, rows)
    assert computed == 1
    wanted = gradients(model, lambda: model(x[rows]))
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(found, wanted, strict=True))


def test_nothing_is_left_in_the_model_even_after_an_error() -> None:
    import torch

    from ponder.engines._kept_layers import KeptLayers

    model = convolutions()
    kept = KeptLayers(model)
    with pytest.raises(RuntimeError), kept.first():
        model(torch.randn(2, 7, 9, 9))
    with torch.no_grad(), kept.first():
        model(torch.randn(2, 2, 9, 9))
    assert not any("forward" in vars(module) for module in model.modules())
    assert kept._calls
    kept.forget()
    assert not kept._calls


def test_nothing_is_kept_under_autocast_and_in_compiled_models() -> None:
    import torch

    from ponder.engines._kept_layers import KeptLayers

    model = convolutions()
    kept = KeptLayers(model)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad(), kept.first():
        model(torch.randn(3, 2, 9, 9))
    assert not kept._calls
    for closed in (torch.compile(model, backend="eager"), torch.nn.DataParallel(model)):
        with torch.no_grad(), KeptLayers(closed).first():
            assert not any("forward" in vars(module) for module in model.modules())
