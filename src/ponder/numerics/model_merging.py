"""How much of which of two models to merge, sample by sample: by their disagreement, their entropies or a constant.

Source: arXiv:2510.27265 (card 49): lambda = min + (max - min) sigmoid(gamma JS), from the published formula; entropy
weights of DaWin, Oh et al. 2024, arXiv:2410.03782; SLERP of Shoemake 1985.
Differs: the bounds may be widened by `extrapolate` and the sigmoid centred (both 0 by default, both ours).
Shapes: B samples, C classes; JS in nats, in [0, ln 2]. Cost: no pass of a model. Needs: torch (extra `torch`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Coefficient",
    "EntropyOffset",
    "entropies",
    "entropy_offset",
    "entropy_weight",
    "js_divergence",
    "merge",
    "slerp",
]


@dataclass(frozen=True, kw_only=True)
class Coefficient:
    """Maps disagreement to a weight: low + (high - low) sigmoid(gamma (JS - center)).

    Attributes:
        gamma: scale. At the published 0.5 the sigmoid runs from 0.5 to 0.586 only; 10 gives it a range to speak of.
        low: least weight.
        high: greatest weight, >= low.
        center: JS at which the weight is half way (ours; the paper has 0).
        extrapolate: widens both bounds by this much, >= 0, so that weights outside them are possible.

    Raises:
        ConfigError: bounds out of order, or a negative `extrapolate`.
    """

    gamma: float = 0.5
    low: float = 0.0
    high: float = 1.0
    center: float = 0.0
    extrapolate: float = 0.0

    def __post_init__(self) -> None:
        if not self.low <= self.high or self.extrapolate < 0 or not math.isfinite(self.gamma):
            raise ConfigError(f"merging needs low <= high, extrapolate >= 0 and a finite gamma, got {self!r}")

    def weight(self, js: Tensor) -> Tensor:
        """Return the weight for each disagreement, of the same shape."""
        low, high = self.low - self.extrapolate, self.high + self.extrapolate
        return low + (high - low) * (self.gamma * (js - self.center)).sigmoid()


class EntropyOffset(NamedTuple):
    """DaWin's offset: b is added to both models' confidence, b / w to the expert's; none is (0, 2)."""

    b: float = 0.0
    w: float = 2.0


def js_divergence(left: Tensor, right: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of two laws (..., C) in nats, (...), in [0, ln 2]; 0 log 0 is 0."""
    torch = _torch()
    middle = (left + right) / 2
    both = sum((torch.special.xlogy(p, p) - torch.special.xlogy(p, middle)).sum(-1) for p in (left, right))
    return (both / 2).clamp(0.0, math.log(2))


def entropies(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the entropy in nats of softmax(logits / temperature) over the last axis."""
    logs = (logits / temperature).log_softmax(-1)
    return -(logs.exp() * logs).sum(-1)


def entropy_offset(generalist: Tensor, expert: Tensor) -> EntropyOffset:
    """Return DaWin's offset from both models' entropies (B,) of a whole set, B >= 2; standard deviations over B - 1.

    Raises:
        BadInput: fewer than two samples.
    """
    if generalist.shape[0] < 2:
        raise BadInput("an offset needs the entropies of at least two samples")
    b = (generalist.std() / generalist.mean() + expert.std() / expert.mean()) / 2
    return EntropyOffset(float(b), float((generalist.mean() + expert.mean()) / generalist.mean()))


def entropy_weight(generalist: Tensor, expert: Tensor, offset: EntropyOffset = EntropyOffset()) -> Tensor:  # noqa: B008
    """Return the weight (B,) of the *expert* by DaWin: exp(-H) of the expert over that of both."""
    sure, other = (-expert).exp(), (-generalist).exp()
    return (sure + offset.b / offset.w) / (other + sure + offset.b)


def merge(first: Mapping[str, Tensor], second: Mapping[str, Tensor], weight: float | Tensor) -> dict[str, Tensor]:
    """Return weight x first + (1 - weight) x second, tensor by tensor; what is not of floats is the first's.

    Args:
        first: tensors by name.
        second: of the same names and shapes.
        weight: of the first; a tensor (B,) gives every merged tensor a leading axis B, in the tensor's own type.

    Raises:
        BadInput: the models do not fit together.
    """
    _check(first, second)
    merged = {}
    for name, one in first.items():
        other = second[name]
        if not one.is_floating_point():
            batched = not isinstance(weight, float | int) and weight.ndim == 1
            merged[name] = one.expand(len(weight), *one.shape) if batched else one  # type: ignore[arg-type]
        elif isinstance(weight, float | int):
            merged[name] = other.lerp(one, float(weight))
        else:
            by = weight.to(one.dtype).reshape(*weight.shape, *(1 for _ in one.shape))
            merged[name] = other + by * (one - other)
    return merged


def slerp(alpha: float, first: Tensor, second: Tensor) -> Tensor:
    """Return the tensor at `alpha` (0: first, 1: second) on the great circle of the flattened tensors.

    Nearly parallel tensors (sine of the angle below 1e-6) are interpolated linearly.

    Raises:
        BadInput: shapes differ.
    """
    torch = _torch()
    if first.shape != second.shape:
        raise BadInput(f"no path between tensors of shapes {tuple(first.shape)} and {tuple(second.shape)}")
    cosine = torch.nn.functional.cosine_similarity(first.flatten(), second.flatten(), dim=0).clamp(-1, 1)
    angle = torch.arccos(cosine)
    sine = torch.sin(angle)
    if float(sine) < 1e-6:
        return (1 - alpha) * first + alpha * second
    return (torch.sin((1 - alpha) * angle) * first + torch.sin(alpha * angle) * second) / sine


def _check(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> None:
    lacking = sorted(first.keys() ^ second.keys())
    if lacking:
        raise BadInput(f"the two models do not hold the same tensors: {', '.join(lacking[:3])}")
    unlike = [name for name, one in first.items() if one.shape != second[name].shape]
    if unlike:
        raise BadInput(f"the two models differ in the shape of {unlike[0]}: merge adapters into dense weights first")


def _torch() -> Any:
    return need("torch", extra="torch", feature="merging models")
