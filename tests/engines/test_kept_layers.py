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

    kept = KeptLayers(model, worth=0)
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
    kept = KeptLayers(model, worth=0)
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


def test_a_layer_trusted_on_one_batch_is_looked_at_again_on_the_next() -> None:
    import torch
    from torch import nn

    from ponder.engines._kept_layers import KeptLayers

    class Sorted(nn.Module):  # type: ignore[misc]
        def forward(self, x: Tensor) -> Tensor:
            return x[x.sum(1).argsort(descending=True)]

    model = net(nn.GroupNorm(1, 4), Sorted(), nn.Linear(4, 3))
    model[0].weight.data = torch.tensor([1.0, 2.0, 3.0, 4.0])
    x, rows = torch.randn(8, 4), torch.tensor([1, 2, 6])
    x = x[model[0](x).sum(1).argsort(descending=True)]
    kept, computed = KeptLayers(model, worth=0), []
    for batch in (x, x.flip(0)):
        with torch.no_grad(), kept.first():
            model(batch)
        with kept.again(rows, 8), count_products() as counted:
            found = model(batch[rows])
        computed.append(counted[0])
        assert torch.allclose(found, model(batch[rows]), atol=1e-5)
    assert computed == [0, 1]


def test_each_place_of_a_shared_layer_is_proved_on_its_own() -> None:
    import torch
    from torch import nn

    class Both(nn.Module):  # type: ignore[misc]
        """The second time in another order, which is undone behind it."""

        def __init__(self) -> None:
            super().__init__()
            self.norm, self.line = nn.LayerNorm(4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            found = self.norm(x)
            out: Tensor = self.line(found) + self.line(found.sin().roll(1, 0)).roll(-1, 0)
            return out

    model = net(Both())
    x, rows = torch.randn(6, 4), torch.tensor([0, 2, 5])
    found, computed = twice(model, x, rows)
    assert computed == 1
    for ours, theirs in zip(found, gradients(model, lambda: model(x[rows])), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_forward_that_somebody_has_replaced_is_run_and_stays() -> None:
    import torch

    model = convolutions()
    plain = model[3].forward
    replaced = model[3].forward = lambda x: 2 * plain(x) + 1
    x, rows = torch.randn(6, 2, 9, 9), torch.tensor([1, 4])
    found, computed = twice(model, x, rows)
    assert computed == 1
    assert model[3].forward is replaced
    for ours, theirs in zip(found, gradients(model, lambda: model(x[rows])), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("reentrant", [False, True])
def test_what_a_checkpoint_runs_again_has_the_same_gradients(reentrant: bool) -> None:
    import torch
    from torch import nn
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = convolutions()

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.net[6:](checkpoint(self.net[3:6], self.net[:3](x), use_reentrant=reentrant))
            return out

    model = Checkpointed()
    x, rows = torch.randn(6, 2, 9, 9), torch.tensor([1, 4])
    found, _ = twice(model, x, rows)
    for ours, theirs in zip(found, gradients(model, lambda: model(x[rows])), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_what_a_model_casts_inside_is_computed(dtype: str) -> None:
    import torch
    from torch import nn

    class Cast(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = net(nn.LayerNorm(4), nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 3))

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", getattr(torch, dtype)):
                out: Tensor = self.net(x)
            return out.float()

    model, x, rows = Cast(), torch.randn(6, 4), torch.tensor([0, 3])
    found, computed = twice(model, x, rows)
    assert computed == 2
    for ours, theirs in zip(found, gradients(model, lambda: model(x[rows])), strict=True):
        assert torch.allclose(ours, theirs, rtol=0.05, atol=0.05)


def test_a_linear_layer_keeps_nothing_for_its_backward_pass() -> None:
    import torch
    from torch import nn

    from ponder.engines._kept_layers import KeptLayers

    model, x = net(nn.LayerNorm(4), nn.Linear(4, 4)), torch.randn(6, 4)
    saved: list[Any] = []

    def pack(tensor: Any) -> Any:
        saved.append(tensor)
        return tensor

    kept, rows = KeptLayers(model, worth=0), torch.tensor([0, 3])
    for _ in range(2):
        with torch.no_grad(), kept.first():
            model(x)
        saved.clear()
        entered = model[0](x[rows])
        with (
            kept.again(rows, 6),
            torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        ):
            model[1](entered)
    assert saved == []


def test_calls_that_are_soon_computed_are_not_kept_and_do_not_shift_the_others() -> None:
    """A layer that is called on little and then on much has its second output back for the second call."""
    import torch
    from torch import nn

    from ponder.engines._kept_layers import KeptLayers

    class Grown(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.line = nn.LayerNorm(4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.line(self.line(self.norm(x))[:, None].expand(-1, 9, -1).sin())
            return out.sum(1)

    model = net(Grown())
    x, rows = torch.randn(8, 4), torch.tensor([1, 2, 6])
    kept = KeptLayers(model, worth=8 * 4 * 4 + 1)
    for _ in range(2):
        with torch.no_grad(), kept.first():
            model(x)
        with kept.again(rows, 8), count_products() as counted:
            out = model(x[rows])
        found = gradients(model, lambda out=out: out)  # type: ignore[misc]
    assert counted == [1]
    for ours, theirs in zip(found, gradients(model, lambda: model(x[rows])), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_function_that_a_model_compiles_for_itself_is_not_compiled_at_each_batch() -> None:
    import torch
    from torch import nn

    from ponder.engines._kept_layers import KeptLayers

    class Inside(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = convolutions()
            self.quick = torch.compile(self.net[:6].forward, backend="eager", fullgraph=True)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.net[6:](self.quick(x))
            return out

    torch._dynamo.reset()
    model, rows = Inside(), torch.tensor([0, 2, 5])
    kept = KeptLayers(model, worth=0)
    for seed in range(12):  # more than torch compiles one function
        x = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad(), kept.first():
            model(x)
        with kept.again(rows, 6):
            out = model(x[rows])
        assert torch.allclose(out, model(x[rows]), atol=1e-5)
