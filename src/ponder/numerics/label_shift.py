"""Class priors under label shift: how far a prior has moved, how to correct for it, how to estimate it.

Source: posterior correction and EM of Saerens et al. 2002; confusion-matrix estimate (BBSE) of Lipton et al. 2018,
arXiv:1802.03916; degree of imbalance of the Label Shift Adapter, Park et al. 2023, arXiv:2308.08810 (card 58,
reconstructed: the paper's own formula was not available, this one is 1 at the source, 0 at uniform, -1 reversed).
Cost: samples x classes x rounds; BBSE solves a C x C system. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ponder.core.errors import BadInput, ConfigError

__all__ = [
    "adjusted_losses",
    "bound_prior",
    "confusion_prior",
    "confusion_weights",
    "corrected_logits",
    "em_prior",
    "imbalance_degree",
    "power_prior",
]

_FLOOR = 1e-4


def imbalance_degree(prior: Sequence[float], source: Sequence[float]) -> float | None:
    """Return where `prior` lies on the source's axis of class frequency; None if the source is uniform (no axis).

    v = ln source - mean(ln source); degree = (prior - 1/C) v / (source - 1/C) v: 1 for the source itself, 0 for the
    uniform prior, -1 for the reversed order of a geometric tail.

    Args:
        prior: C probabilities, sum 1.
        source: C probabilities above 0, sum 1.

    Raises:
        BadInput: lengths differ, or the source has a class of probability 0.
    """
    _same(prior, source)
    logs = _logs(source)
    mean = math.fsum(logs) / len(logs)
    axis = [value - mean for value in logs]
    even = 1 / len(source)
    whole = math.fsum((p - even) * v for p, v in zip(source, axis, strict=True))
    if abs(whole) < 1e-12:
        return None
    return math.fsum((p - even) * v for p, v in zip(prior, axis, strict=True)) / whole


def power_prior(source: Sequence[float], power: float) -> list[float]:
    """Return the prior in proportion to source^power: 1 the source, 0 uniform, -1 inverse.

    Raises:
        BadInput: the source has a class of probability 0.
    """
    raised = [power * value for value in _logs(source)]
    top = max(raised)
    weights = [math.exp(value - top) for value in raised]
    total = math.fsum(weights)
    return [w / total for w in weights]


def bound_prior(prior: Sequence[float], floor: float = _FLOOR) -> list[float]:
    """Return the prior with no class below `floor` before it is scaled to sum 1 again: logarithms stay finite."""
    raised = [max(p, floor) for p in prior]
    total = math.fsum(raised)
    return [p / total for p in raised]


def corrected_logits(logits: Sequence[float], source: Sequence[float], target: Sequence[float]) -> list[float]:
    """Return logits + ln target - ln source: the posterior under another prior, up to a constant.

    Raises:
        BadInput: lengths differ, or a probability is 0.
    """
    _same(logits, source)
    _same(source, target)
    return [z + t - s for z, t, s in zip(logits, _logs(target), _logs(source), strict=True)]


def adjusted_losses(
    logits: Sequence[Sequence[float]],
    labels: Sequence[int],
    source: Sequence[float],
    target: Sequence[float],
    tau: float = 1.0,
) -> list[float]:
    """Return the cross-entropy of logits + tau (ln source - ln target) for each row, in nats.

    Its optimum over data of prior `source` are the posteriors under prior `target` (card 58, step A3).

    Raises:
        BadInput: lengths differ, or a probability is 0.
    """
    _same(source, target)
    shift = [tau * (s - t) for s, t in zip(_logs(source), _logs(target), strict=True)]
    losses = []
    for row, label in zip(logits, labels, strict=True):
        moved = [z + d for z, d in zip(row, shift, strict=True)]
        top = max(moved)
        losses.append(top + math.log(math.fsum(math.exp(z - top) for z in moved)) - moved[label])
    return losses


def em_prior(
    posteriors: Sequence[Sequence[float]], source: Sequence[float], *, rounds: int = 200, tolerance: float = 0.0
) -> list[float]:
    """Return the target prior by expectation-maximisation from calibrated posteriors under the source prior.

    Each round: q_i in proportion to p_i x prior / source, then prior = mean of q.

    Args:
        posteriors: N rows of C probabilities, N >= 1.
        source: C probabilities above 0.
        rounds: most rounds, >= 0.
        tolerance: stop when no class moves by more; 0 for all rounds.

    Raises:
        BadInput: no rows, lengths differ, or a source probability is 0.
        ConfigError: rounds below 0.
    """
    if rounds < 0:
        raise ConfigError(f"rounds cannot be below 0, got {rounds!r}")
    if not posteriors:
        raise BadInput("EM needs at least one row of posteriors")
    _same(posteriors[0], source)
    _logs(source)
    prior = list(source)
    for _ in range(rounds):
        ratio = [p / s for p, s in zip(prior, source, strict=True)]
        sums = [0.0] * len(prior)
        for row in posteriors:
            raised = [p * r for p, r in zip(row, ratio, strict=True)]
            total = math.fsum(raised)
            for at, value in enumerate(raised):
                sums[at] += value / total
        after = [value / len(posteriors) for value in sums]
        moved = max(abs(a - b) for a, b in zip(after, prior, strict=True))
        prior = after
        if tolerance and moved <= tolerance:
            break
    return prior


def confusion_weights(confusion: Sequence[Sequence[float]], predicted: Sequence[float]) -> list[float]:
    """Return importance weights w = target / source of each class: the solution of confusion x w = predicted.

    Args:
        confusion: C x C joint probabilities on source data, [predicted][true].
        predicted: C shares of each predicted class on target data.

    Raises:
        BadInput: not square, or singular (a class that the model never predicts).
    """
    size = len(predicted)
    if len(confusion) != size or any(len(row) != size for row in confusion):
        raise BadInput(f"the confusion matrix must be {size} x {size}, as long as the predicted shares")
    rows = [[*map(float, row), float(p)] for row, p in zip(confusion, predicted, strict=True)]
    for at in range(size):
        pivot = max(range(at, size), key=lambda r: abs(rows[r][at]))
        if abs(rows[pivot][at]) < 1e-12:
            raise BadInput("the confusion matrix is singular: some class is never predicted on source data")
        rows[at], rows[pivot] = rows[pivot], rows[at]
        for below in range(size):
            if below != at:
                factor = rows[below][at] / rows[at][at]
                rows[below] = [b - factor * a for b, a in zip(rows[below], rows[at], strict=True)]
    return [rows[at][size] / rows[at][at] for at in range(size)]


def confusion_prior(
    confusion: Sequence[Sequence[float]], predicted: Sequence[float], source: Sequence[float]
) -> list[float]:
    """Return the target prior by the confusion matrix; negative estimates become 0 before scaling to sum 1.

    Raises:
        BadInput: as `confusion_weights`, or every weight is negative.
    """
    raw = [max(w, 0.0) * s for w, s in zip(confusion_weights(confusion, predicted), source, strict=True)]
    total = math.fsum(raw)
    if total <= 0:
        raise BadInput("no class has a positive weight: the predictions do not fit the confusion matrix")
    return [value / total for value in raw]


def _logs(prior: Sequence[float]) -> list[float]:
    if not prior or min(prior) <= 0:
        raise BadInput("every class needs a probability above 0: bound the prior first")
    return [math.log(p) for p in prior]


def _same(left: Sequence[object], right: Sequence[object]) -> None:
    if len(left) != len(right):
        raise BadInput(f"as many values as classes are needed, got {len(left)} and {len(right)}")
