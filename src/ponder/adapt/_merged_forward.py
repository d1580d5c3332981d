"""Run a batch through a different mixture of two models for each sample.

Three ways with one result. "mix" uses that linear maps, convolutions, embeddings and norm layers are affine in their
parameters: with weight w, the merged layer's output is w x first's + (1 - w) x second's, on the same input, so a batch
costs two forwards and holds no merged weights at all. "vmap" merges the weights of a chunk of samples and runs them by
`torch.func`, whatever the model computes with them. "loop" merges sample by sample.
Source: our own; merged weights as in card 49. Cost: mix two forwards; vmap one, and chunk x P numbers; loop B merges.
Needs: the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.attention
from torch import Tensor, nn

from ponder.core.errors import BadInput
from ponder.engines.online import rows_of, take
from ponder.numerics.model_merging import merge

__all__ = ["differing", "run_merged", "run_one", "unmixable"]

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_AFFINE = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Embedding,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    *_NORMS,
)


def differing(first: nn.Module, second: nn.Module, keep: tuple[str, ...]) -> list[str]:
    """Return the names of the parameters that merging changes; names that end in one of `keep` stay the first's.

    Raises:
        BadInput: the models do not hold the same parameters.
    """
    ours, theirs = dict(first.named_parameters()), dict(second.named_parameters())
    merge({n: p.detach()[..., :0] for n, p in ours.items()}, {n: p.detach()[..., :0] for n, p in theirs.items()}, 0.5)
    unlike = [n for n, p in ours.items() if p.shape != theirs[n].shape]
    if unlike:
        raise BadInput(f"the two models differ in the shape of {unlike[0]}: merge adapters into dense weights first")
    return [n for n, p in ours.items() if not (keep and n.endswith(keep)) and not torch.equal(p, theirs[n])]


def unmixable(model: nn.Module, names: list[str]) -> list[str]:
    """Return those of the named parameters that belong to no layer of a kind that "mix" knows."""
    inside = [f"{n}." for n, part in model.named_modules() if isinstance(part, nn.MultiheadAttention)]
    known = {
        f"{n}.{p}" if n else p
        for n, part in model.named_modules()
        if type(part) in _AFFINE and not any(n.startswith(prefix) for prefix in inside)
        for p, _ in part.named_parameters(recurse=False)
    }
    return [name for name in names if name not in known]


def run_one(model: nn.Module, merged: Mapping[str, Tensor], x: Any) -> Tensor:
    """Run a whole batch with these parameters in place of the model's own."""
    args, words = ((), dict(x)) if isinstance(x, Mapping) else ((x,), {})
    out = torch.func.functional_call(model, dict(merged), args, words)
    return getattr(out, "logits", out)


def run_merged(
    first: nn.Module, second: nn.Module, names: list[str], x: Any, weight: Tensor, how: str, chunk: int
) -> Tensor:
    """Return the logits (B, C) of each sample by its own mixture, weight (B,) of the first model."""
    if how == "mix":
        with _mixed(first, second, names, weight):
            out = first(**x) if isinstance(x, Mapping) else first(x)
        return getattr(out, "logits", out)
    ours, theirs = dict(first.named_parameters()), dict(second.named_parameters())
    left, right = {n: ours[n].detach() for n in names}, {n: theirs[n].detach() for n in names}
    rows = []
    if how == "loop":
        for at in range(rows_of(x)):
            merged = merge(left, right, float(weight[at]))
            rows.append(run_one(first, merged, take(x, torch.tensor([at]))))
        return torch.cat(rows)

    def single(merged: dict[str, Tensor], row: Any) -> Tensor:
        one = {n: part[None] for n, part in row.items()} if isinstance(row, Mapping) else row[None]
        return run_one(first, merged, one)[0]

    together = torch.func.vmap(single, randomness="different")
    quick = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused kernels of attention know no batches of weights
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            for at in range(0, rows_of(x), chunk):
                part = torch.arange(at, min(at + chunk, rows_of(x)))
                rows.append(together(merge(left, right, weight[part]), take(x, part)))
    finally:
        torch.backends.mha.set_fastpath_enabled(quick)
    return torch.cat(rows)


@contextmanager
def _mixed(first: nn.Module, second: nn.Module, names: list[str], weight: Tensor) -> Iterator[None]:
    """Inside, every layer of the first model that differs answers with the mixture of both."""
    owners = {name.rpartition(".")[0] for name in names}
    handles = []

    def hook(twin: nn.Module) -> Any:
        def mix(part: nn.Module, args: Any, out: Tensor) -> Tensor:
            other = _same_statistics(part, twin, *args) if isinstance(part, _NORMS) else twin(*args)
            return other + _spread(weight, out) * (out - other)

        return mix

    try:
        for name in sorted(owners):
            handles.append(first.get_submodule(name).register_forward_hook(hook(second.get_submodule(name))))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _same_statistics(part: Any, twin: Any, x: Tensor) -> Tensor:
    """Run the twin of a batch norm with the first model's statistics: averages of statistics are those of no data."""
    return torch.nn.functional.batch_norm(
        x, part.running_mean, part.running_var, twin.weight, twin.bias, part.running_mean is None, 0.0, part.eps
    )


def _spread(weight: Tensor, out: Tensor) -> Tensor:
    """Return the weights in a shape that multiplies `out` row by row; rows may be folded (B x T) or missing (1)."""
    batch, rows = len(weight), len(out)
    if rows not in (1, batch):
        if rows % batch:
            raise BadInput(f"cannot tell which of {rows} rows belongs to which of {batch} samples")
        weight = weight.repeat_interleave(rows // batch)
    return weight.to(out.dtype).view(-1, *(1 for _ in out.shape[1:]))
