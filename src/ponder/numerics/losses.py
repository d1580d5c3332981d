"""Losses of scorers.

Source: Snell et al. 2024, arXiv:2408.03314, appendix D (card 04): a process reward model learns the share of rollouts
that succeed, by cross-entropy with a soft label.
"""

from __future__ import annotations

import math

from ponder.core.errors import BadInput

__all__ = ["soft_cross_entropy"]


def soft_cross_entropy(label: float, predicted: float) -> float:
    """Return -(y ln p + (1 - y) ln(1 - p)) in nats, for y and p in [0, 1]; nothing is clipped.

    0 ln 0 is 0; where the prediction rules out what the label holds possible, the loss is infinite.

    Raises:
        BadInput: an argument outside [0, 1].
    """
    if not (0 <= label <= 1 and 0 <= predicted <= 1):
        raise BadInput(f"label and prediction must be in [0, 1], got {label!r} and {predicted!r}")
    return _surprise(label, predicted) + _surprise(1 - label, 1 - predicted)


def _surprise(weight: float, probability: float) -> float:
    if weight == 0:
        return 0.0
    return -weight * math.log(probability) if probability > 0 else math.inf
