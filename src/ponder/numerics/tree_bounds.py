"""Which child a Monte-Carlo tree search goes down to: the upper confidence bounds of UCT and PUCT, and priors.

Source: Kocsis & Szepesvári 2006 (UCT); PUCT with the constants of AlphaZero as in OpenR (card 35, after
RyanLiu112/compute-optimal-tts).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["puct", "softmax", "uct"]

_BASE = 19652  # visits after which the exploration of PUCT begins to grow


def uct(mean: float, parent_visits: int, visits: int, c: float) -> float:
    """Return mean + c * sqrt(ln(parent_visits) / visits); infinite for a child that was never visited."""
    if visits == 0:
        return math.inf
    return mean + c * math.sqrt(math.log(parent_visits) / visits)


def puct(mean: float, parent_visits: int, visits: int, prior: float, c: float = 1.25) -> float:
    """Return the PUCT bound.

    Args:
        mean: of the values seen below the child.
        parent_visits: of its parent, >= 0.
        visits: of the child, >= 0.
        prior: share of the child among its siblings, in [0, 1].
        c: initial exploration constant.
    """
    rate = c + math.log((parent_visits + _BASE + 1) / _BASE)
    return mean + prior * rate * math.sqrt(parent_visits) / (1 + visits)


def softmax(values: Sequence[float]) -> list[float]:
    """Return exp(v) over their sum; nothing for nothing."""
    if not values:
        return []
    top = max(values)
    weights = [math.exp(value - top) for value in values]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
