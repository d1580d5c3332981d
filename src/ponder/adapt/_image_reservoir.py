"""Images that token condensation remembers of a class, and which of them it forgets.

Source: Wang et al. 2024, arXiv:2410.14729 (card 43).
Cost: that of comparing one more image than is kept. Needs: the extra `torch` at the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ponder.numerics.token_condensation import least_useful

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Past", "keep_best"]


class Past(NamedTuple):
    """A remembered image: unit features (d,), entropy (nats), class tokens after each layer (L, D), its number."""

    features: Tensor
    entropy: float
    tokens: Tensor
    number: int


def keep_best(row: Sequence[Past], size: int, *, by_tokens: bool = True) -> list[Past]:
    """Return at most `size` images of a class, least entropy first; the uncertain or redundant one is forgotten.

    Args:
        row: images, at most one more than `size`.
        size: >= 1.
        by_tokens: compare their class tokens, averaged over layers; else their features.
    """
    import torch

    kept = list(row)
    if len(kept) > size:
        vectors = torch.stack([past.tokens.mean(0) if by_tokens else past.features for past in kept])
        kept.pop(least_useful(vectors.new_tensor([past.entropy for past in kept]), vectors))
    return sorted(kept, key=lambda past: past.entropy)
