"""From the scores of a solution's steps to one score for the solution, and from tag logits to the score of a step.

Source: Snell et al. 2024, arXiv:2408.03314, section 5.1 (card 04: last step for soft labels, min for hard ones); Liu
et al. 2025, arXiv:2502.06703 (card 13: min, last, mean; readers of PRM logits).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, assert_never

__all__ = ["Aggregation", "aggregate", "two_token_score"]

Aggregation = Literal["min", "product", "last", "mean"]


def aggregate(steps: Sequence[float], how: Aggregation, *, empty: float | None = None) -> float | None:
    """Return the score of a solution from those of its steps.

    Args:
        steps: one score per step, in order.
        how: smallest, product, last, or arithmetic mean (added left to right).
        empty: what a solution without steps scores; None: it is missing.

    Returns:
        The score, or None (missing) where a step's score is NaN.
    """
    if not steps:
        return empty
    if any(map(math.isnan, steps)):
        return None
    match how:
        case "min":
            return min(steps)
        case "product":
            return math.prod(steps)
        case "last":
            return steps[-1]
        case "mean":
            total = 0.0
            for step in steps:  # not `sum`: it rounds differently from Python 3.12 on, which decides ties
                total += step
            return total / len(steps)
        case _:
            assert_never(how)


def two_token_score(good: float, bad: float) -> float:
    """Return the probability, in [0, 1], of the "good" tag from the logits of the "good" and the "bad" one."""
    if good >= bad:
        return 1 / (1 + math.exp(bad - good))
    return math.exp(good - bad) / (1 + math.exp(good - bad))
