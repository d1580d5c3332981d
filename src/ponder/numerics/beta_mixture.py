"""A mixture of beta laws, fitted to numbers in (0, 1), so that samples with like merging weights share one merge.

Source: the mixture of DaWin, Oh et al. 2024, arXiv:2410.03782 (card 49, step 6): EM whose M-step matches moments, from
k-means starts, the best start kept.
Differs: k-means is our own, on the line, from randomly drawn points; starts are seeded by name.
Cost: iterations x n x k densities. Needs: torch (extra `torch`); numbers are read as float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from ponder.core.errors import BadInput
from ponder.core.registry import need
from ponder.core.seeds import derive

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BetaMixture", "expect", "fit_mixture", "maximise"]

_EDGE = 1e-8  # numbers this close to 0 or 1 are moved inside, where densities are finite
_EPS = 10 * 2.220446049250313e-16


class BetaMixture(NamedTuple):
    """Weights and parameters of k components, each (k,)."""

    weights: Tensor
    alpha: Tensor
    beta: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean of each component, (k,)."""
        return self.alpha / (self.alpha + self.beta)


def maximise(data: Tensor, responsibilities: Tensor) -> BetaMixture:
    """Match each component's weighted mean and variance: (n,), (n, k) -> k components."""
    counts = responsibilities.sum(0) + _EPS
    mean = (responsibilities * data[:, None]).sum(0) / counts
    spread = (responsibilities * (data[:, None] - mean) ** 2).sum(0) / counts
    most = mean * (1 - mean) / 4
    spread = _torch().minimum(spread, most) + _EPS
    factor = mean * (1 - mean) / (spread + 1e-10) - 1
    return BetaMixture(counts / len(data), factor * mean, factor * (1 - mean))


def expect(data: Tensor, mixture: BetaMixture) -> tuple[float, Tensor]:
    """Return the mean log-likelihood and the responsibilities (n, k)."""
    x = data.clamp(_EDGE, 1 - _EDGE)[:, None]
    alpha, beta = mixture.alpha, mixture.beta
    norm = (alpha + beta).lgamma() - alpha.lgamma() - beta.lgamma()
    joint = mixture.weights.log() + norm + (alpha - 1) * x.log() + (beta - 1) * (-x).log1p()
    total = joint.logsumexp(1)
    return float(total.mean()), (joint - total[:, None]).exp()


def fit_mixture(
    data: Tensor,
    components: int = 3,
    *,
    starts: int = 3,
    iterations: int = 1000,
    tolerance: float = 1e-4,
    seed: int = 0,
) -> tuple[BetaMixture, Tensor, float]:
    """Fit by EM from several k-means starts and keep the likeliest.

    Args:
        data: (n,) in [0, 1].
        components: at most this many; fewer where `data` has fewer distinct values.
        starts: k-means starts, >= 1.
        iterations: at most, of each start.
        tolerance: stop when the mean log-likelihood moves by less.
        seed: of the starts.

    Returns:
        The mixture with components by ascending mean, responsibilities (n, k), and the mean log-likelihood.

    Raises:
        BadInput: no data, or data outside [0, 1].
    """
    torch = _torch()
    data = data.detach().double().flatten()
    if not len(data) or not bool(((data >= 0) & (data <= 1)).all()):
        raise BadInput("a beta mixture is fitted to one or more numbers in [0, 1]")
    k = min(components, len(data.unique()))
    best: tuple[BetaMixture, Tensor, float] | None = None
    for start in range(starts):
        labels = _k_means(data, k, derive(seed, "beta mixture", start))
        mixture = maximise(data, torch.nn.functional.one_hot(labels, k).double())
        before = -math.inf
        for _ in range(iterations):
            likelihood, responsibilities = expect(data, mixture)
            if abs(likelihood - before) < tolerance:
                break
            before, mixture = likelihood, maximise(data, responsibilities)
        likelihood, responsibilities = expect(data, mixture)
        if best is None or likelihood > best[2]:
            best = (mixture, responsibilities, likelihood)
    assert best is not None
    mixture, responsibilities, likelihood = best
    order = mixture.mean.argsort()
    return BetaMixture(*(part[order] for part in mixture)), responsibilities[:, order], likelihood


def _k_means(data: Tensor, k: int, rng: Any) -> Tensor:
    """Return the cluster (n,) of each number, from k of the distinct ones drawn as centres."""
    torch = _torch()
    values = data.unique()
    centres = values[sorted(rng.sample(range(len(values)), k))]
    labels = None
    for _ in range(100):
        new = (data[:, None] - centres).abs().argmin(1)
        if labels is not None and bool((new == labels).all()):
            break
        labels = new
        one_hot = torch.nn.functional.one_hot(labels, k).to(data.dtype)
        sizes = one_hot.sum(0)
        centres = torch.where(sizes > 0, (one_hot.T @ data) / sizes.clamp_min(1), centres)
    assert labels is not None
    return labels


def _torch() -> Any:
    return need("torch", extra="torch", feature="a beta mixture")
