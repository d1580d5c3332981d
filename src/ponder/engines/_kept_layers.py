"""Kept layers: run some rows of a batch again, with a graph, without convolving and multiplying anew.

Source: our own. EATA (arXiv:2204.02610, card 48) knows which samples to learn from only after it has predicted them; a
graph of these alone needs a second pass. Frozen weights give the same rows the same outputs: only norms and what is
cheap has to be computed again, and gradients flow through the kept outputs as if they had been.
Cost: the outputs of these layers are held between the two passes, as the graph of a whole batch would. Where a row's
output depends on others (batch statistics) it must not be used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["KeptLayers"]

_KINDS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


@dataclass(frozen=True)
class _Call:
    """What went through a layer: (B, ...) in and out, and their versions, by which changes in place show."""

    entered: Tensor
    left: Tensor
    versions: tuple[int, int]


class KeptLayers:
    """The convolutions and linear layers of a model with frozen weights, and what they said in the latest first pass.

    A layer is used only where its first dimension is that of the batch, in both passes, and where a first comparison
    found its inputs to be the chosen rows of the former ones; all others are computed. Nothing is kept under autocast,
    in compiled models and across `nn.DataParallel`.

    Args:
        model: with gradient flags as they will stay.
    """

    def __init__(self, model: nn.Module) -> None:
        modules = list(model.modules())
        closed = any(
            isinstance(m, nn.DataParallel) or type(m).__name__ == "OptimizedModule" or m._compiled_call_impl
            for m in modules
        )
        self._layers = [] if closed else [m for m in modules if _is_frozen(m)]
        self._calls: dict[nn.Module, deque[_Call]] = {}
        self._proved: dict[nn.Module, bool] = {}

    @contextmanager
    def first(self) -> Iterator[None]:
        """Inside, a pass leaves what its layers say, for one `again`."""
        self.forget()
        with self._replaced(self._keep):
            yield

    @contextmanager
    def again(self, rows: Tensor, whole: int) -> Iterator[None]:
        """Inside, a pass over the chosen rows (K,) of the `whole` former batch takes what was kept."""
        try:
            with self._replaced(partial(self._reuse, rows=rows, whole=whole)):
                yield
        finally:
            self.forget()

    def forget(self) -> None:
        """Drop what was kept."""
        self._calls = {}

    @contextmanager
    def _replaced(self, by: Callable[[nn.Module, Tensor], Tensor]) -> Iterator[None]:
        """Send calls of the layers to `by`, which their own dictionaries hold for this time only."""
        layers = [] if any(map(torch.is_autocast_enabled, ("cpu", "cuda", "mps", "xpu"))) else self._layers
        for layer in layers:
            vars(layer)["forward"] = partial(by, layer)
        try:
            yield
        finally:
            for layer in layers:
                vars(layer).pop("forward", None)

    def _keep(self, layer: nn.Module, x: Tensor) -> Tensor:
        out: Tensor = type(layer).forward(layer, x)
        self._calls.setdefault(layer, deque()).append(_Call(x, out, (x._version, out._version)))
        return out

    def _reuse(self, layer: nn.Module, x: Tensor, *, rows: Tensor, whole: int) -> Tensor:
        calls = self._calls.get(layer)
        kept = calls.popleft() if calls else None
        if kept is None or not self._fits(layer, x, kept, rows, whole):
            computed: Tensor = type(layer).forward(layer, x)
            return computed
        taken: Tensor = _Known.apply(x, kept.left[rows], layer)
        return taken

    def _fits(self, layer: nn.Module, x: Tensor, kept: _Call, rows: Tensor, whole: int) -> bool:
        if (kept.entered._version, kept.left._version) != kept.versions:
            return False
        if not len(kept.left) == len(kept.entered) == whole or len(x) != len(rows):
            return False
        if layer not in self._proved:
            if len(rows) == whole:
                return False  # would prove nothing
            same = x.shape[1:] == kept.entered.shape[1:]
            self._proved[layer] = same and torch.allclose(x, kept.entered[rows], rtol=1e-3, atol=1e-4)
        return self._proved[layer]


class _Known(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed here
    """A layer whose output for x is known: forward returns it, backward is the layer's own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, known: Tensor, layer: nn.Module) -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x)
        return known

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, None]:
        layer, (gradient,) = ctx.layer, gradients
        if not ctx.needs_input_grad[0]:
            return None, None, None
        if isinstance(layer, nn.Linear):
            return gradient @ layer.weight, None, None
        (x,) = ctx.saved_tensors
        found, _, _ = torch.ops.aten.convolution_backward(
            gradient,
            x,
            layer.weight,
            None,
            layer.stride,
            layer.padding,
            layer.dilation,
            False,
            [0] * len(layer.stride),
            layer.groups,
            (True, False, False),
        )
        return found, None, None


def _is_frozen(module: nn.Module) -> bool:
    """Whether it is just such a layer, padded plainly, with no parameter that a gradient is wanted of."""
    if type(module) not in _KINDS or any(parameter.requires_grad for parameter in module.parameters()):
        return False
    return isinstance(module, nn.Linear) or (module.padding_mode == "zeros" and not isinstance(module.padding, str))
