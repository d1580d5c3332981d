"""Calling a model: batches in, logits out, whatever mode the caller is in.

Source: our own. Cost: a few Python calls a batch. Needs: the extra `torch` at the call; importing this file loads
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ponder.core.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "as_written",
    "copied",
    "hooks_in",
    "in_32_bits",
    "is_compiled",
    "kind_of",
    "plain_tensors",
    "predict_with",
    "rows_of",
    "take",
    "tensors_in",
]


def predict_with(model: Any, x: Any) -> Tensor:
    """Call a model and return its logits (B, C), C >= 2, in at least 32 bits.

    Raises:
        BadInput: no matrix of logits came back.
    """
    import torch

    with _fresh_casts():
        out = model(**x) if isinstance(x, Mapping) else model(x)
    logits = out["logits"] if isinstance(out, Mapping) and "logits" in out else getattr(out, "logits", out)
    if not isinstance(logits, torch.Tensor) or logits.dim() != 2:
        shape = tuple(getattr(logits, "shape", ()))
        raise BadInput(f"a classifier returns logits (B, C), got {type(logits).__name__} of shape {shape}")
    if logits.shape[1] < 2:
        raise BadInput(
            "the model gives one logit: for two classes give two, such as (0, z) for the logit z of a sigmoid"
        )
    return in_32_bits(logits)


def rows_of(x: Any) -> int:
    """Return the number of samples in a batch.

    Raises:
        BadInput: it has no length.
    """
    try:
        return len(next(iter(x.values()), ())) if isinstance(x, Mapping) else len(x)
    except TypeError:
        raise BadInput(
            f"a batch is a tensor (B, ...) or a mapping of them, got {type(x).__name__} without rows"
        ) from None


def take(x: Any, chosen: Tensor) -> Any:
    """Return the chosen rows (indices or mask) of a batch."""
    return {name: part[chosen] for name, part in x.items()} if isinstance(x, Mapping) else x[chosen]


@contextmanager
def _fresh_casts() -> Iterator[None]:
    """Let autocast cast weights anew: its cache would keep them as they were before updates, or without a graph."""
    import torch

    before = torch.is_autocast_cache_enabled()
    torch.clear_autocast_cache()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)


def in_32_bits(logits: Tensor) -> Tensor:
    """Return logits in at least 32 bits."""
    return logits.float() if logits.element_size() < 4 else logits


def hooks_in(module: Any) -> int:
    """Return how many hooks see what goes into and out of the parts of a model."""
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


def is_compiled(module: Any) -> bool:
    """Return whether a model, or a part of it, is compiled."""
    return any("_orig_mod" in part._modules or part._compiled_call_impl is not None for part in module.modules())


@contextmanager
def as_written() -> Iterator[None]:
    """Run compiled models as they were written: their graphs know no hooks and no other weights."""
    import torch

    with torch.compiler.set_stance("force_eager"):
        yield


def copied(state: Any) -> Any:
    """Return a copy of a method's state; of a tensor that shows a part of another, only that part."""
    import torch

    if isinstance(state, torch.Tensor):
        return state.detach().clone()
    if type(state) is dict:
        return {name: copied(part) for name, part in state.items()}
    if type(state) in (list, tuple):
        return type(state)(map(copied, state))
    return deepcopy(state)


def kind_of(tensor: Tensor) -> tuple[Any, Any]:
    """Return a tensor's shape and type."""
    return tensor.shape, tensor.dtype


@contextmanager
def plain_tensors() -> Iterator[None]:
    """Leave inference mode: what is made in it can take part in no later update."""
    import torch

    with torch.inference_mode(mode=False), torch.no_grad():
        yield


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested mappings, lists and tuples."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)
    elif hasattr(value, "element_size"):
        yield value
