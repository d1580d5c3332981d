"""Logistic regression on soft labels, with the strength of its penalty chosen on held-out groups.

Source: the loss is the soft-label cross-entropy of Snell et al. 2024, arXiv:2408.03314, appendix D (card 04); the fit
is Newton's method (iteratively reweighted least squares) with a ridge penalty, McCullagh & Nelder 1989, section 4.4.
Cost: a few solutions of a d x d system for d features; seconds for d = 600. Needs: numpy (extra `torch`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need
from ponder.numerics.losses import soft_cross_entropy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

__all__ = ["PENALTIES", "Logistic", "choose_penalty", "fit_logistic"]

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
_STEPS = 50
_NEXT = 1e-12
_FLAT = 1e-9  # spread below which a feature is a constant


class Logistic(NamedTuple):
    """The fitted law: probability = sigmoid(bias + sum of weight * feature), features as they come."""

    weights: tuple[float, ...]
    bias: float

    def predict(self, features: Sequence[float]) -> float:
        """Return the probability, in (0, 1).

        Raises:
            BadInput: not as many features as weights.
        """
        if len(features) != len(self.weights):
            raise BadInput(f"{len(features)} features for {len(self.weights)} weights")
        logit = self.bias + math.fsum(w * x for w, x in zip(self.weights, features, strict=True))
        return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


def fit_logistic(features: Sequence[Sequence[float]], targets: Sequence[float], *, penalty: float) -> Logistic:
    """Return the law that minimises summed cross-entropy + penalty/2 * |weights of the standardised features|^2.

    Args:
        features: [n, d], finite; a feature that never varies gets the weight 0.
        targets: [n], probabilities in [0, 1].
        penalty: > 0; the bias is not penalised.

    Raises:
        BadInput: no rows, ragged rows, values that are not finite, or targets outside [0, 1].
        ConfigError: penalty not positive.
        MissingExtra: numpy is not installed.
    """
    np = need("numpy", extra="torch", feature="fitting a logistic head")
    if not penalty > 0:
        raise ConfigError(f"penalty must be positive, got {penalty!r}")
    if not features or len(features) != len(targets) or len({len(row) for row in features}) != 1:
        raise BadInput(f"need rows of one length and a target for each, got {len(features)} and {len(targets)}")
    x, y = np.asarray(features, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if not np.isfinite(x).all() or not ((y >= 0) & (y <= 1)).all():
        raise BadInput("features must be finite and targets in [0, 1]")
    middle, spread = x.mean(0), x.std(0)
    scale = np.where(spread > _FLAT * np.maximum(1.0, np.abs(middle)), spread, np.inf)
    z = np.hstack([np.ones((len(x), 1)), (x - middle) / scale])
    w = _newton(z, y, penalty)
    weights = w[1:] / scale
    return Logistic(tuple(weights.tolist()), float(w[0] - weights @ middle))


def choose_penalty(
    features: Sequence[Sequence[float]],
    targets: Sequence[float],
    groups: Sequence[Hashable],
    *,
    penalties: Sequence[float] = PENALTIES,
    folds: int = 4,
) -> float:
    """Return the penalty with the least cross-entropy on groups that the fit did not see.

    Args:
        features: [n, d], as for `fit_logistic`.
        targets: [n], in [0, 1].
        groups: of each row, for example its task; a group is never split.
        penalties: to choose from; equal ones go to the strongest.
        folds: parts of the cross-validation, >= 2; fewer where there are fewer groups.

    Returns:
        The penalty; the strongest where there is one group only.
    """
    names = list(dict.fromkeys(groups))
    folds = min(folds, len(names))
    strongest = max(penalties)
    if folds < 2:
        return strongest
    fold = {name: at % folds for at, name in enumerate(names)}

    def loss(penalty: float) -> float:
        total = 0.0
        for part in range(folds):
            seen = [i for i, group in enumerate(groups) if fold[group] != part]
            law = fit_logistic([features[i] for i in seen], [targets[i] for i in seen], penalty=penalty)
            for i, group in enumerate(groups):
                if fold[group] == part:
                    # A prediction that is rounded to 0 or 1 costs as much as one next to it, not everything.
                    total += soft_cross_entropy(targets[i], min(max(law.predict(features[i]), _NEXT), 1 - _NEXT))
        return total

    return min(sorted(penalties, reverse=True), key=loss)


def _newton(z: Array, y: Array, penalty: float) -> Array:
    """Minimise by Newton steps, halved while they do not help; column 0 of `z` is the bias."""
    import numpy as np

    ridge = np.full(z.shape[1], penalty)
    ridge[0] = _FLAT
    w = np.zeros(z.shape[1])

    def loss(at: Array) -> float:
        logits = z @ at
        return float((np.logaddexp(0.0, logits) - y * logits).sum() + (ridge * at * at).sum() / 2)

    now = loss(w)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(z @ w, -500, 500)))
        slope = z.T @ (p - y) + ridge * w
        bend = (z * (p * (1 - p))[:, None]).T @ z + np.diag(ridge + _FLAT)
        step, size = np.linalg.solve(bend, slope), 1.0
        while size > 1e-6 and loss(w - size * step) > now:
            size /= 2
        w = w - size * step
        before, now = now, loss(w)
        if before - now < 1e-9 * max(1.0, abs(before)):
            break
    return w
