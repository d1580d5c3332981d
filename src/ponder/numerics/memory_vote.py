"""Votes of the nearest entries of a memory of labelled features, and how sure they are.

Source: Zhang et al. 2023, arXiv:2304.12566 (card 61), steps 3 to 8 and the eps-ball variant.
Differs: no more neighbours are asked than the memory holds. Confidence is the largest score; `double_softmax` is the
released code's softmax of scores that are already shares, at most e / (e + C - 1).
Shapes: M entries, B queries, d features, C classes. Rows are divided by max(norm, 1e-12).
Cost: O(B M d) for cosines. Needs: torch (extra `torch`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ball_applies", "confidence", "neighbours", "unit_rows", "vote", "vote_in_ball", "vote_of_nearest"]

Confidence = Literal["score", "double_softmax"]
_FLOOR = 1e-5  # added to every class's score, so that its logarithm is finite


def unit_rows(features: Tensor) -> Tensor:
    """Return (n, d) features with rows of length 1; a row of zeros stays zero."""
    unit: Tensor = _torch().nn.functional.normalize(features, dim=-1, eps=1e-12)
    return unit


def neighbours(cosine: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the cosines and the positions (B, min(k, M)) of the k entries nearest to each query, nearest first.

    Raises:
        ConfigError: `k` < 1.
        BadInput: the memory is empty.
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k!r}")
    if cosine.shape[-1] == 0:
        raise BadInput("the memory is empty: fill it with labelled source features first")
    top = cosine.topk(min(k, cosine.shape[-1]), dim=-1)
    return top.values, top.indices


def vote(cosine: Tensor, labels: Tensor, classes: int, temperature: float) -> Tensor:
    """Return the class scores (B, C) in [1e-5, 1] of neighbours that vote with softmax(cosine / temperature).

    Args:
        cosine: (B, k), differentiable.
        labels: (B, k), in [0, classes).
        classes: C >= 1.
        temperature: > 0.

    Raises:
        ConfigError: `temperature` <= 0.
    """
    if not temperature > 0:
        raise ConfigError(f"the vote's temperature must be above 0, got {temperature!r}")
    weights = (cosine / temperature).softmax(-1)
    scores = weights.new_zeros(len(weights), classes).scatter_add(1, labels, weights)
    return (scores + _FLOOR).clamp(max=1)


def ball_applies(cosine: Tensor, radius: float) -> bool:
    """Return whether all queries have an entry nearer than `radius` (a cosine <= 1); above 1 it is switched off."""
    return radius <= 1 and bool(cosine.max(-1).values.min() > radius)


def vote_in_ball(cosine: Tensor, labels: Tensor, classes: int, temperature: float, radius: float) -> Tensor:
    """Return the scores (B, C) when all entries with a cosine of at least `radius` vote; see `vote`."""
    outside = cosine < radius
    return vote(cosine.masked_fill(outside, -_torch().inf), labels.expand_as(cosine), classes, temperature)


def vote_of_nearest(
    cosine: Tensor, labels: Tensor, classes: int, *, k: int, temperature: float, radius: float = 1.1
) -> Tensor:
    """Return the scores (B, C) by the whole table of cosines: the ball where it applies, else the k nearest.

    Args:
        cosine: (B, M).
        labels: (M,).
        classes: C.
        k: neighbours.
        temperature: of the vote.
        radius: of the ball; above 1 there is none.
    """
    if ball_applies(cosine, radius):
        return vote_in_ball(cosine, labels, classes, temperature, radius)
    near, at = neighbours(cosine, k)
    return vote(near, labels[at], classes, temperature)


def confidence(scores: Tensor, *, kind: Confidence = "score") -> Tensor:
    """Return how sure each query's vote is, (B, C) -> (B,): the largest score, or that of a second softmax."""
    top: Tensor = (scores if kind == "score" else scores.softmax(-1)).max(-1).values
    return top


def _torch() -> Any:
    return need("torch", extra="torch", feature="a memory of features")
