"""Run a batch through a different mixture of two models for each sample.

Three ways with one result. "mix" uses that linear maps, convolutions, embeddings and norm layers are affine in their
parameters: with weight w, the merged layer's output is w x first's + (1 - w) x second's, on the same input, so a batch
costs two forwards and holds no merged weights at all (but for bare parameters with a first axis of 1, as of positions,
which are merged for each sample and meet the batch in that axis). "vmap" merges the weights of a chunk of samples and
runs them by `torch.func`, whatever the model computes with them. "loop" merges sample by sample.
Source: our own; merged weights as in card 49. Cost: mix two forwards; vmap one, and chunk x P numbers; loop B merges.
Needs: the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.attention
from torch import Tensor, nn

from ponder.adapt._mixed_attention import attention_is_known, mixed_attention
from ponder.core.errors import BadInput
from ponder.engines.online_calls import rows_of, take
from ponder.engines.online_parameters import modules_by_name, parameters_by_name
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
    ours, theirs = parameters_by_name(first), parameters_by_name(second)
    merge({n: p.detach()[..., :0] for n, p in ours.items()}, {n: p.detach()[..., :0] for n, p in theirs.items()}, 0.5)
    unlike = [n for n, p in ours.items() if p.shape != theirs[n].shape]
    if unlike:
        raise BadInput(f"the two models differ in the shape of {unlike[0]}: merge adapters into dense weights first")
    return [n for n, p in ours.items() if not (keep and n.endswith(keep)) and not torch.equal(p, theirs[n])]


def unmixable(model: nn.Module, names: list[str]) -> list[str]:
    """Return those of the named parameters that "mix" does not know how to mix."""
    parts = modules_by_name(model)
    attentions = [n for n, part in parts.items() if isinstance(part, nn.MultiheadAttention)]
    known = {
        name
        for n, part in parts.items()
        if (type(part) in _AFFINE and not _inside(n, attentions)) or attention_is_known(part)
        for name, _ in part.named_parameters(n)
    }
    bare = set(_bare(model, names))
    return [name for name in names if name not in known and name not in bare]


def _inside(name: str, owners: Iterable[str]) -> bool:
    return any(name == owner or name.startswith(f"{owner}.") for owner in owners)


def _bare(model: nn.Module, names: list[str]) -> list[str]:
    """Return those of the named parameters that no layer of torch's owns, and that have a first axis of 1."""
    own = {n for n, part in modules_by_name(model).items() if not type(part).__module__.startswith("torch.nn.")}
    held = parameters_by_name(model)
    return [n for n in names if n.rpartition(".")[0] in own and held[n].dim() > 1 and len(held[n]) == 1]


def run_one(model: nn.Module, merged: Mapping[str, Tensor], x: Any) -> Tensor:
    """Run a whole batch with these parameters in place of the model's own."""
    args, words = ((), dict(x)) if isinstance(x, Mapping) else ((x,), {})
    places = {place: merged[name] for place, name in _places(model) if name in merged}
    out = torch.func.functional_call(model, places, args, words, tie_weights=False)
    return getattr(out, "logits", out)


def _places(model: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield each place that holds a parameter, once, with the parameter's one plain name.

    Two layers may share a parameter, and one layer may have two names. What ties weights in torch takes the latter for
    two layers, and leaves the merged weights behind in the model.
    """
    names = {id(value): name for name, value in parameters_by_name(model).items()}
    for prefix, part in model.named_modules():
        for own, value in part.named_parameters(prefix, recurse=False, remove_duplicate=False):
            yield own, names[id(value)]


def run_merged(
    first: nn.Module, second: nn.Module, names: list[str], x: Any, weight: Tensor, how: str, chunk: int
) -> Tensor:
    """Return the logits (B, C) of each sample by its own mixture, weight (B,) of the first model."""
    if how == "mix":
        with _mixed(first, second, names, weight):
            return run_one(first, _merged(first, second, _bare(first, names), weight, rows=True), x)
    rows = []
    if how == "loop":
        for at in range(rows_of(x)):
            merged = _merged(first, second, names, float(weight[at]))
            rows.append(run_one(first, merged, take(x, torch.tensor([at], device=weight.device))))
        return torch.cat(rows)

    def single(merged: dict[str, Tensor], row: Any) -> Tensor:
        one = {n: part[None] for n, part in row.items()} if isinstance(row, Mapping) else row[None]
        return run_one(first, merged, one)[0]

    together = torch.func.vmap(single, randomness="different")
    with _explained(), _slow_attention(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        for at in range(0, rows_of(x), chunk):
            part = torch.arange(at, min(at + chunk, rows_of(x)), device=weight.device)
            rows.append(together(_merged(first, second, names, weight[part]), take(x, part)))
    return torch.cat(rows)


def _merged(
    first: nn.Module, second: nn.Module, names: list[str], weight: Any, *, rows: bool = False
) -> dict[str, Tensor]:
    """Merge the named parameters; with `rows`, their first axis of 1 becomes that of the samples."""
    ours, theirs = parameters_by_name(first), parameters_by_name(second)
    found = merge({n: ours[n].detach() for n in names}, {n: theirs[n].detach() for n in names}, weight)
    return {n: part[:, 0] for n, part in found.items()} if rows else found


@contextmanager
def _mixed(first: nn.Module, second: nn.Module, names: list[str], weight: Tensor) -> Iterator[None]:
    """Inside, every layer of the first model that differs answers with the mixture of both."""
    bare = set(_bare(first, names))
    parts, twins = modules_by_name(first), modules_by_name(second)
    attentions = [n for n, part in parts.items() if attention_is_known(part)]
    owners = {name.rpartition(".")[0] for name in names if name not in bare}
    undo = ExitStack()

    def blend(out: Tensor, other: Tensor) -> Tensor:
        return other.lerp(out, _spread(weight, out))

    def hook(twin: nn.Module) -> Any:
        def mix(part: nn.Module, args: Any, words: Any, out: Tensor) -> Tensor:
            norm = isinstance(part, _NORMS)
            return blend(out, _same_statistics(part, twin, *args, **words) if norm else twin(*args, **words))

        return mix

    with undo, _slow_attention():
        for name in sorted(n for n in owners if not _inside(n, attentions)):
            if type(parts[name]) in (nn.GroupNorm, nn.LayerNorm):
                _put_forward(parts[name], _mixed_norm(parts[name], twins[name], weight), undo)
                continue
            handle = parts[name].register_forward_hook(hook(twins[name]), with_kwargs=True)
            undo.callback(handle.remove)
        for name in attentions:
            if any(_inside(owner, [name]) for owner in owners):
                _put_forward(parts[name], mixed_attention(parts[name], twins[name], blend), undo)
        yield


def _put_forward(part: Any, forward: Any, undo: ExitStack) -> None:
    """Give a layer another forward; undoing brings back one that somebody else had put there."""
    if "forward" in vars(part):
        undo.callback(setattr, part, "forward", part.forward)
    else:
        undo.callback(delattr, part, "forward")
    part.forward = forward


@contextmanager
def _explained() -> Iterator[None]:
    """Say what to do where torch.func cannot run a model: branches on values, kernels without a batched form."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).split(". ", 1)[0]
        raise BadInput(f"torch.func cannot run this model on these inputs ({reason}): use how='auto'") from error


@contextmanager
def _slow_attention() -> Iterator[None]:
    """Keep torch from fused kernels of attention, which know neither hooks nor batches of weights."""
    quick = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(quick)


def _mixed_norm(first: Any, second: Any, weight: Tensor) -> Any:
    """Return a forward that normalises once and then scales and shifts each sample by its own mixture."""

    def forward(input: Tensor) -> Tensor:
        if isinstance(first, nn.LayerNorm):
            found, places = nn.functional.layer_norm(input, first.normalized_shape, None, None, first.eps), ()
        else:
            found = nn.functional.group_norm(input, first.num_groups, None, None, first.eps)
            places = (1,) * (input.dim() - 2)
        by = _spread(weight, found)

        def own(name: str) -> Tensor | None:
            ours, theirs = getattr(first, name), getattr(second, name)
            if ours is None:
                return None
            return theirs.view(*theirs.shape, *places).lerp(ours.view(*ours.shape, *places), by)

        scale, shift = own("weight"), own("bias")
        return found * scale if shift is None else torch.addcmul(shift, found, scale)

    return forward


def _same_statistics(part: Any, twin: Any, input: Tensor) -> Tensor:
    """Run the twin of a batch norm with the first model's statistics: averages of statistics are those of no data."""
    return torch.nn.functional.batch_norm(
        input, part.running_mean, part.running_var, twin.weight, twin.bias, part.running_mean is None, 0.0, part.eps
    )


def _spread(weight: Tensor, out: Tensor) -> Tensor:
    """Return the weights in a shape that multiplies `out` row by row; rows may be folded (B x T) or missing (1)."""
    batch, rows = len(weight), len(out)
    if rows not in (1, batch):
        if rows % batch:
            raise BadInput(f"cannot tell which of {rows} rows belongs to which of {batch} samples")
        weight = weight.repeat_interleave(rows // batch)
    return weight.to(out.dtype).view(-1, *(1 for _ in out.shape[1:]))
