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
_WORTH = 2**24  # multiplications; a call of fewer took longer to look up than to compute (one core, batches of 64)


@dataclass(frozen=True)
class _Call:
    """What went through a layer at its call of this number: in, out, and versions, by which changes in place show."""

    number: int
    entered: Tensor
    left: Tensor
    versions: tuple[int, int]


class KeptLayers:
    """The convolutions and linear layers of a model with frozen weights, and what they said in the latest first pass.

    A call of a layer is answered from what was kept only where its first dimension is that of the batch, in both
    passes, and its inputs are the chosen rows of the former ones: compared whole once for each place in a pass where
    the layer is called, and by some numbers of each row at every call. All else is computed: also what autocast casts,
    what a checkpoint runs again, what a model's own function compiles, and layers whose `forward` somebody has
    replaced. Nothing is kept under autocast, in compiled models and across `nn.DataParallel`.

    Args:
        model: with gradient flags as they will stay.
        worth: multiplications that a call for a whole batch takes at least, for its outputs to be kept.
    """

    def __init__(self, model: nn.Module, *, worth: int = _WORTH) -> None:
        modules = list(model.modules())
        closed = any(
            isinstance(m, nn.DataParallel) or type(m).__name__ == "OptimizedModule" or m._compiled_call_impl
            for m in modules
        )
        self._layers = [] if closed else [m for m in modules if _is_frozen(m)]
        self._worth = worth
        self._rows: Tensor | None = None
        self._whole = 0
        # Made once: a function that the model compiles for itself is compiled anew for each that it has not seen.
        self._ways = {layer: (partial(self._keep, layer), partial(self._reuse, layer)) for layer in self._layers}
        self._calls: dict[nn.Module, deque[_Call | None]] = {}  # None where it was not worth it
        self._proved: dict[tuple[nn.Module, int], bool] = {}  # of a layer's first, second, ... call in a pass

    @contextmanager
    def first(self) -> Iterator[None]:
        """Inside, a pass leaves what its layers say, for one `again`."""
        self.forget()
        cast = any(map(torch.is_autocast_enabled, ("cpu", "cuda", "mps", "xpu")))
        free = [] if cast else [layer for layer in self._layers if "forward" not in vars(layer)]
        with _replaced({layer: self._ways[layer][0] for layer in free}):
            yield

    @contextmanager
    def again(self, rows: Tensor, whole: int) -> Iterator[None]:
        """Inside, a pass over the chosen rows (K,) of the `whole` former batch takes what was kept."""
        try:
            self._rows, self._whole = rows, whole
            with _replaced({layer: self._ways[layer][1] for layer, calls in self._calls.items() if any(calls)}):
                yield
        finally:
            self.forget()

    def forget(self) -> None:
        """Drop what was kept."""
        self._calls, self._rows = {}, None

    def _keep(self, layer: nn.Module, x: Tensor) -> Tensor:
        out: Tensor = type(layer).forward(layer, x)
        if torch.compiler.is_compiling():
            return out
        calls = self._calls.setdefault(layer, deque())
        worth = out.numel() * layer.weight[0].numel() >= self._worth
        calls.append(_Call(len(calls), x, out, (x._version, out._version)) if worth else None)
        return out

    def _reuse(self, layer: nn.Module, x: Tensor) -> Tensor:
        rows, whole = self._rows, self._whole
        calls = None if torch.compiler.is_compiling() else self._calls.get(layer)
        kept = calls.popleft() if calls else None
        if kept is None or rows is None or not self._fits(layer, x, kept, rows, whole):
            computed: Tensor = type(layer).forward(layer, x)
            return computed
        taken: Tensor = _Known.apply(x, kept.left[rows], layer)
        return taken

    def _fits(self, layer: nn.Module, x: Tensor, kept: _Call, rows: Tensor, whole: int) -> bool:
        entered = kept.entered
        if (entered._version, kept.left._version) != kept.versions or _recomputed_by_checkpoint():
            return False
        if not len(kept.left) == len(entered) == whole or len(x) != len(rows) or x.shape[1:] != entered.shape[1:]:
            return False
        if not x.dtype == entered.dtype == kept.left.dtype == layer.weight.dtype:
            return False  # something inside the model casts
        place = (layer, kept.number)
        if place not in self._proved:
            if len(rows) == whole:
                return False  # would prove nothing
            self._proved[place] = _close(x, entered[rows])
        return self._proved[place] and (len(rows) == whole or _close(_some(layer, x), _some(layer, entered)[rows]))


@contextmanager
def _replaced(ways: dict[nn.Module, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Send calls of layers another way, which their own dictionaries hold for this time only."""
    for layer, way in ways.items():
        vars(layer)["forward"] = way
    try:
        yield
    finally:
        for layer in ways:
            vars(layer).pop("forward", None)


def _close(ours: Tensor, theirs: Tensor) -> bool:
    return torch.equal(ours, theirs) or bool(torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4))  # the first is fast


def _some(layer: nn.Module, x: Tensor) -> Tensor:
    """Return a few numbers of each row: those in the middle of all dimensions but that of the channels, (B, C)."""
    channels = x.dim() - 1 if isinstance(layer, nn.Linear) else 1
    for at in reversed(range(1, x.dim())):
        if at != channels:
            x = x.select(at, x.shape[at] // 2)
    return x


def _recomputed_by_checkpoint() -> bool:
    """Whether a checkpoint will run the part at hand again and compare what it saves then with what it saves now."""
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
    return hooks is not None and hooks[0].__module__ == "torch.utils.checkpoint"


class _Known(torch.autograd.Function):  # type: ignore[misc]  # torch is not typed here
    """A layer whose output for x is known: forward returns it, backward is the layer's own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, known: Tensor, layer: nn.Module) -> Tensor:
        ctx.layer = layer
        if not isinstance(layer, nn.Linear):
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
