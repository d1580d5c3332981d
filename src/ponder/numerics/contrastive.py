"""Losses and scores of two-tower models: pairs on the diagonal are alike, classes are told apart by cosine.

Source: Liu et al. 2024, arXiv:2403.06659 (card 56), steps 5 to 7 and 10: both directions of the loss are added, not
averaged; scores are plain cosines without a temperature.
Differs: batches below five are no error (the released function also computes a top-5 accuracy).
Shapes: B pairs, d width, C classes, N inputs. Rows are divided by max(norm, 1e-12).
Cost: O(B^2 d). Needs: torch (extra `torch`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "class_weight",
    "cosines",
    "dropout_views",
    "pair_accuracy",
    "pair_loss",
    "standardised",
]


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """Return the cosine of every row of `left` (n, d) to every row of `right` (m, d): (n, m)."""
    return _unit(left) @ _unit(right).T


def pair_loss(left: Tensor, right: Tensor, *, temperature: float = 0.07) -> Tensor:
    """Return the sum of both directions' cross-entropy, row i of `left` belonging to row i of `right`.

    Args:
        left: (B, d), B >= 1.
        right: (B, d).
        temperature: cosines are divided by it, > 0.

    Raises:
        BadInput: the batches differ in length or are empty.
        ConfigError: `temperature` <= 0.
    """
    if len(left) != len(right) or not len(left):
        raise BadInput(f"pairs need as many rows on both sides, got {len(left)} and {len(right)}")
    if not temperature > 0:
        raise ConfigError(f"the temperature must be above 0, got {temperature!r}")
    torch = _torch()
    logits = cosines(left, right) / temperature
    own = torch.arange(len(left), device=left.device)
    entropy = torch.nn.functional.cross_entropy
    loss: Tensor = entropy(logits, own) + entropy(logits.T, own)
    return loss


def dropout_views(pooled: Tensor, projections: Sequence[Tensor], masks: Sequence[Tensor], *, rate: float = 0.1) -> list:  # type: ignore[type-arg]
    """Return views of pooled features (B, h) by bias-free maps (d, h) and 0/1 masks (B, d), kept values scaled up."""
    return [(pooled @ by.T) * mask / (1 - rate) for by, mask in zip(projections, masks, strict=True)]


def pair_accuracy(left: Tensor, right: Tensor, top: int = 1) -> float | None:
    """Return in percent how often the own partner is among the `top` nearest, mean of both directions; ties count.

    None where fewer than `top` pairs are there to choose from.
    """
    if len(left) < top:
        return None
    table = cosines(left, right)
    found = [(side > side.diagonal()[:, None]).sum(1) < top for side in (table, table.T)]
    return 50.0 * sum(float(hit.double().mean()) for hit in found)


def class_weight(prompts: Tensor) -> Tensor:
    """Return one unit vector (d,) of a class from the embeddings (n, d) of its prompts: the mean of unit rows."""
    mean: Tensor = _unit(_unit(prompts).mean(0, keepdim=True))[0]
    return mean


def standardised(scores: Tensor) -> Tensor:
    """Return sigmoid((scores - mean) / standard deviation) over the whole table, at least two numbers."""
    return ((scores - scores.mean()) / scores.std()).sigmoid()


def _unit(rows: Tensor) -> Tensor:
    unit: Tensor = _torch().nn.functional.normalize(rows, dim=-1, eps=1e-12)
    return unit


def _torch() -> Any:
    return need("torch", extra="torch", feature="a two-tower model")
