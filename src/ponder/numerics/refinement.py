"""What repeated refinement does to accuracy and to cost: a two-state Markov model, call counts, splits of a budget.

Source: critique and refine, Xi et al. 2024, arXiv:2411.16579 (card 12); sequential against parallel revisions, Snell et
al. 2024, arXiv:2408.03314, section 6 (card 04).
Differs: a ratio that no split of the budget has gives the nearest one (our choice).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ponder.core.errors import ConfigError

__all__ = ["Split", "accuracy_after", "calls_always", "split", "stationary_accuracy"]


class Split(NamedTuple):
    """A budget of answers as chains times attempts in each."""

    chains: int
    length: int


def accuracy_after(
    start: float,
    rounds: int,
    *,
    fix: float,
    keep: float,
    detect: float = 1.0,
    false_alarm: float = 1.0,
) -> list[float]:
    """Return the accuracy after 1..rounds rounds of critique and refinement.

    Args:
        start: accuracy before, in [0, 1] like all that follow.
        rounds: >= 0.
        fix: probability that refining a wrong answer makes it right.
        keep: probability that refining a right answer leaves it right.
        detect: share of wrong answers that are refined, and
        false_alarm: share of right ones; with 1 and 1 everything is refined, whatever a critic says.
    """
    out: list[float] = []
    accuracy = start
    for _ in range(rounds):
        kept = accuracy * (1 - false_alarm) + accuracy * false_alarm * keep
        accuracy = kept + (1 - accuracy) * detect * fix
        out.append(accuracy)
    return out


def stationary_accuracy(*, fix: float, keep: float, detect: float = 1.0, false_alarm: float = 1.0) -> float | None:
    """Return the accuracy that rounds of refinement tend to; None where nothing ever changes."""
    gain, loss = detect * fix, false_alarm * (1 - keep)
    return gain / (gain + loss) if gain + loss > 0 else None


def calls_always(samples: int, rounds: int) -> int:
    """Return the calls of refining every one of `samples` answers in every round: one critique, one answer each."""
    return samples * (1 + 2 * rounds)


def split(n: int, ratio: float) -> Split:
    """Return the split n = chains * length whose length : chains is nearest to `ratio` (on a log scale).

    Args:
        n: answers in all, >= 1.
        ratio: sequential to parallel, > 0: n is one chain, 1 / n is all in parallel. Ties go to more chains.

    Raises:
        ConfigError: n or ratio out of range.
    """
    if n < 1 or not 0 < ratio < math.inf:
        raise ConfigError(f"n must be at least 1 and ratio above 0, got n={n!r}, ratio={ratio!r}")
    wanted = math.log(ratio)
    splits = [Split(chains, n // chains) for chains in range(n, 0, -1) if n % chains == 0]
    return min(splits, key=lambda part: round(abs(math.log(part.length / part.chains) - wanted), 9))
