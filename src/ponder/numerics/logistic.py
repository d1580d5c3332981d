"""Logistic regression on soft labels, and what a penalty costs on groups that the fit has not seen.

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

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

__all__ = ["PENALTIES", "Logistic", "cross_validate", "fit_logistic"]

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
_STEPS = 50
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


def fit_logistic(
    features: Sequence[Sequence[float]],
    targets: Sequence[float],
    *,
    penalty: float,
    weights: Sequence[float] | None = None,
) -> Logistic:
    """Return the law that minimises summed cross-entropy + penalty/2 * |weights of the standardised features|^2.

    Args:
        features: [n, d], finite; a feature that never varies gets the weight 0.
        targets: [n], probabilities in [0, 1].
        penalty: > 0; the bias is not penalised.
        weights: [n], how often each row counts, > 0; once by default.

    Raises:
        BadInput: no rows, ragged rows, values that are not finite, targets outside [0, 1], or weights not above 0.
        ConfigError: penalty not positive.
        MissingExtra: numpy is not installed.
    """
    slope, bias = _fit(*_arrays(features, targets, weights), penalty)
    return Logistic(tuple(slope.tolist()), bias)


def cross_validate(
    features: Sequence[Sequence[float]],
    targets: Sequence[float],
    groups: Sequence[Hashable],
    *,
    penalties: Sequence[float] = PENALTIES,
    weights: Sequence[float] | None = None,
    folds: int = 4,
) -> dict[float, float]:
    """Return for each penalty the mean cross-entropy, in nats, on groups that the fit did not see.

    Args:
        features: as `fit_logistic` takes them, and so are `targets` and `weights`.
        targets: [n], in [0, 1].
        groups: of each row, for example its task; a group is never split.
        penalties: to compare, each > 0.
        weights: [n], > 0.
        folds: parts of the cross-validation, >= 2; fewer where there are fewer groups.

    Raises:
        BadInput: fewer than two groups, or as `fit_logistic`.
        ConfigError: a penalty not positive.
        MissingExtra: numpy is not installed.
    """
    x, y, mass = _arrays(features, targets, weights)
    names = list(dict.fromkeys(groups))
    parts = min(folds, len(names))
    if parts < 2 or len(groups) != len(x):
        raise BadInput(
            f"cross-validation needs two groups and one for each row, got {len(names)} and {len(groups)} for {len(x)}"
        )
    import numpy as np

    place = {name: at % parts for at, name in enumerate(names)}
    fold = np.array([place[group] for group in groups])
    losses = {}
    for penalty in penalties:
        total = 0.0
        for part in range(parts):
            seen, new = fold != part, fold == part
            slope, bias = _fit(x[seen], y[seen], mass[seen], penalty)
            logits = x[new] @ slope + bias
            total += float((mass[new] * (np.logaddexp(0.0, logits) - y[new] * logits)).sum())
        losses[penalty] = total / float(mass.sum())
    return losses


def _arrays(
    features: Sequence[Sequence[float]], targets: Sequence[float], weights: Sequence[float] | None
) -> tuple[Array, Array, Array]:
    """Return features, targets and weights as arrays that fit together."""
    np = need("numpy", extra="torch", feature="fitting a logistic head")
    mass = [1.0] * len(targets) if weights is None else weights
    if not features or not len(features) == len(targets) == len(mass) or len({len(row) for row in features}) != 1:
        raise BadInput(
            "need rows of one length, and a target and a weight for each:"
            f" got {len(features)}, {len(targets)} and {len(mass)}"
        )
    x, y, counts = (np.asarray(values, dtype=np.float64) for values in (features, targets, mass))
    if not np.isfinite(x).all() or not ((y >= 0) & (y <= 1)).all():
        raise BadInput("features must be finite and targets in [0, 1]")
    if not ((counts > 0) & np.isfinite(counts)).all():
        raise BadInput("weights must be finite and above 0")
    return x, y, counts


def _fit(x: Array, y: Array, mass: Array, penalty: float) -> tuple[Array, float]:
    """Return weights and bias for the features as they come."""
    import numpy as np

    if not penalty > 0:
        raise ConfigError(f"penalty must be positive, got {penalty!r}")
    middle, spread = x.mean(0), x.std(0)
    scale = np.where(spread > _FLAT * np.maximum(1.0, np.abs(middle)), spread, np.inf)
    w = _newton(np.hstack([np.ones((len(x), 1)), (x - middle) / scale]), y, mass, penalty)
    slope = w[1:] / scale
    return slope, float(w[0] - slope @ middle)


def _newton(z: Array, y: Array, mass: Array, penalty: float) -> Array:
    """Minimise by Newton steps, halved while they do not help; column 0 of `z` is the bias."""
    import numpy as np

    ridge = np.full(z.shape[1], penalty)
    ridge[0] = _FLAT
    w = np.zeros(z.shape[1])

    def loss(at: Array) -> float:
        logits = z @ at
        return float((mass * (np.logaddexp(0.0, logits) - y * logits)).sum() + (ridge * at * at).sum() / 2)

    now = loss(w)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(z @ w, -500, 500)))
        slope = z.T @ (mass * (p - y)) + ridge * w
        bend = (z * (mass * p * (1 - p))[:, None]).T @ z + np.diag(ridge + _FLAT)
        step, size = np.linalg.solve(bend, slope), 1.0
        while size > 1e-6 and loss(w - size * step) > now:
            size /= 2
        w = w - size * step
        before, now = now, loss(w)
        if before - now < 1e-9 * max(1.0, abs(before)):
            break
    return w
