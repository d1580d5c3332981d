"""Token condensation of a vision transformer: which patches stay, which are merged; logits corrected by past images.

Source: Wang et al. 2024, arXiv:2410.14729 (card 43), steps 5 and 7 to 12, with the details of the released code.
Differs: clusters that stay empty (equal tokens) are dropped; `parity="released"` keeps them as rows of zeros.
Shapes: N tokens with the class token first, P = N - 1 patches, D width, H heads, L layers, C classes, n stored images.
Cost: one sort of P scores and k P distances. Needs: torch (extra `torch`), tensors of any float type and device;
distances and sums are taken in at least 32 bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Coreset",
    "Counts",
    "Parts",
    "affinity",
    "average_rank",
    "condense",
    "coreset",
    "correction",
    "counts",
    "layer_weights",
    "least_useful",
    "select",
]

Score = Literal["rank", "mean"]


class Counts(NamedTuple):
    """How many patches one layer keeps as they are, merges into centres, and drops or fuses into one token."""

    kept: int
    middle: int
    pruned: int

    def tokens(self, centres: int, *, fused: bool) -> int:
        """Return the length of the new sequence: class token, kept patches, centres, and one for the rest if fused."""
        return 1 + self.kept + (centres or self.middle) + fused


class Parts(NamedTuple):
    """Patch indices: kept and middle by descending score, pruned ascending."""

    kept: Tensor
    middle: Tensor
    pruned: Tensor


class Coreset(NamedTuple):
    """Tokens merged around centres: indices of centres (k,), cluster of each token (n,), merged tokens (<= k, D)."""

    centres: Tensor
    assign: Tensor
    merged: Tensor


def counts(patches: int, rate: float, *, centres: int = 4) -> Counts:
    """Split `patches` by the drop rate: keep = ceil((1 - rate) patches), m = patches + 1 - keep, 2 m are merged.

    Args:
        patches: P >= 1, without the class token.
        rate: in (0, 1).
        centres: tokens that the middle group becomes, >= 1; 0 leaves out the check that they fit.

    Raises:
        BadInput: the rate is too high (keep < 2 m) or too low (2 m < centres) for this many patches.
    """
    if not 0 < rate < 1:
        raise ConfigError(f"the drop rate must be in (0, 1), got {rate!r}; 0 means no condensation at all")
    keep = math.ceil((1 - rate) * patches)
    merged = patches + 1 - keep
    if keep < 2 * merged:
        raise BadInput(f"rate {rate:g} leaves too few of {patches} patches; lower it or drop fewer layers")
    if 2 * merged < centres:
        raise BadInput(f"rate {rate:g} merges {2 * merged} of {patches} patches into {centres}; raise it")
    return Counts(keep - 2 * merged, 2 * merged, patches - keep)


def average_rank(attention: Tensor) -> Tensor:
    """Return each patch's rank within a head, as a share in [0, 1), averaged over heads: (H, P) -> (P,)."""
    order = attention.argsort(dim=-1, stable=True)
    return order.argsort(dim=-1).to(attention.dtype).mean(0) / attention.shape[-1]


def select(attention: Tensor, share: Counts, *, score: Score = "rank") -> Parts:
    """Sort patches by the class token's attention and part them; of equal scores the earlier patch comes first.

    Args:
        attention: (H, P), of the class token to the patches.
        share: as `counts` gives it.
        score: "rank" averages ranks over heads (the paper), "mean" the attention itself (the released code).
    """
    scores = average_rank(attention) if score == "rank" else attention.mean(0)
    order = scores.argsort(descending=True, stable=True)
    last = share.kept + share.middle
    return Parts(order[: share.kept], order[share.kept : last], order[last:].sort().values)


def coreset(tokens: Tensor, first: int, k: int = 4, *, keep_empty: bool = False) -> Coreset:
    """Choose k centres, each the token farthest from those before it, and merge every token into its nearest centre.

    A merged token is the mean of its cluster weighted by 1 / distance to the centre, where distance 0 weighs 1.

    Args:
        tokens: (n, D), n >= 1.
        first: index of the first centre, in [0, n).
        k: centres, >= 1.
        keep_empty: keep clusters without tokens as rows of zeros (released) instead of dropping them.

    Raises:
        BadInput: `first` is no row of `tokens`.
    """
    torch = _torch()
    if tokens.ndim != 2 or not 0 <= first < tokens.shape[0] or k < 1:
        raise BadInput(f"no coreset of {k} centres from row {first} of {tuple(tokens.shape)} tokens")
    dtype = tokens.dtype
    tokens = tokens.to(torch.promote_types(dtype, torch.float32))
    chosen = [first]
    distances = [_distance(tokens, first)]
    nearest = distances[0]
    while len(chosen) < k:
        chosen.append(int(nearest.argmax()))
        distances.append(_distance(tokens, chosen[-1]))
        nearest = torch.minimum(nearest, distances[-1])
    table = torch.stack(distances, 1)  # (n, k)
    assign = table.argmin(1)  # the first of equal ones
    far = table.gather(1, assign[:, None])
    weights = torch.where(far > 0, 1 / far.clamp_min(torch.finfo(far.dtype).tiny), torch.ones_like(far))
    member = torch.nn.functional.one_hot(assign, k).to(tokens.dtype) * weights  # (n, k)
    total = member.sum(0)
    merged = (member.T @ tokens) / total.clamp_min(torch.finfo(total.dtype).tiny)[:, None]
    merged = merged if keep_empty else merged[total > 0]
    return Coreset(torch.tensor(chosen, device=tokens.device), assign, merged.to(dtype))


def condense(
    tokens: Tensor,
    attention: Tensor,
    rate: float,
    *,
    first: int,
    centres: int = 4,
    score: Score = "rank",
    fuse: bool = False,
    keep_empty: bool = False,
) -> Tensor:
    """Return the class token, the kept patches, merged middle patches, and the rest: (N, D) -> (N', D).

    Args:
        tokens: (N, D), after the attention of this layer.
        attention: (H, N - 1), of the class token to the patches in this layer.
        rate: share of patches that is compressed, in (0, 1).
        first: number that picks the first centre, modulo the middle group's size.
        centres: tokens that the middle group becomes; 0 keeps its tokens as they are.
        score: see `select`.
        fuse: add the other patches as one token, their attention-weighted sum (released); else they are dropped.
        keep_empty: see `coreset`.

    Raises:
        BadInput: see `counts`.
    """
    torch = _torch()
    share = counts(tokens.shape[0] - 1, rate, centres=centres)
    parts = select(attention, share, score=score)
    patches = tokens[1:]
    middle = patches[parts.middle]
    if centres:
        middle = coreset(middle, first % share.middle, centres, keep_empty=keep_empty).merged
    rows = [tokens[:1], patches[parts.kept], middle]
    if fuse:
        rest = (attention.mean(0)[parts.pruned][:, None] * patches[parts.pruned]).sum(0, keepdim=True)
        rows.append(rest.to(tokens.dtype))
    return torch.cat(rows)


def layer_weights(layers: int, scale: float, like: Tensor) -> Tensor:
    """Return softmax(linspace(0, 1, layers) / scale): the smaller the scale, the more the last layers count.

    Raises:
        ConfigError: `layers` < 1 or `scale` <= 0.
    """
    if layers < 1 or not scale > 0:
        raise ConfigError(f"no weights of {layers} layers at scale {scale!r}")
    torch = _torch()
    return (torch.linspace(0, 1, layers, dtype=like.dtype, device=like.device) / scale).softmax(0)


def affinity(tokens: Tensor, stored: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted cosine over layers to stored images: (L, D), (n, L, D), (L,) -> (n,) in [-1, 1]."""
    cosine = _torch().nn.functional.cosine_similarity(stored, tokens[None], dim=-1)
    return cosine @ weights


def correction(near: Tensor, labels: Tensor, classes: int, *, strength: float, sharpness: float) -> Tensor:
    """Return what is added to the logits: strength x sum of exp(-sharpness (1 - affinity)) over a class's images.

    Args:
        near: (n,) affinities.
        labels: (n,) classes of the stored images, in [0, classes).
        classes: C.
        strength: lambda >= 0.
        sharpness: beta >= 0.
    """
    delta = near.new_zeros(classes)
    return delta.index_add(0, labels, strength * (-sharpness * (1 - near)).exp())


def least_useful(entropy: Tensor, vectors: Tensor) -> int:
    """Return which of n >= 2 stored images to forget: the largest entropy + mean cosine to the others.

    Args:
        entropy: (n,) nats.
        vectors: (n, D) what images are compared by.
    """
    unit = _torch().nn.functional.normalize(vectors, dim=-1)
    cosine = unit @ unit.T
    others = (cosine.sum(1) - cosine.diagonal()) / (len(entropy) - 1)
    return int((entropy + others).argmax())


def _distance(tokens: Tensor, centre: int) -> Tensor:
    return (tokens - tokens[centre]).norm(dim=-1)


def _torch() -> Any:
    return need("torch", extra="torch", feature="token condensation")
