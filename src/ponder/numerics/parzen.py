"""Bayesian optimisation over categorical choices: tree-structured Parzen estimators, of what did well and what did not.

Source: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization" (section 4), for choices that do not depend
on each other; the baseline of Agent-REINFORCE, arXiv:2511.00086 (card 31, H).
Differs: written anew, not the library of the released code: the best share of the trials is "good", each choice has a
count of one for every value beforehand, and of the candidates drawn from the good ones the one with the largest ratio
is taken.
Cost: linear in trials and choices, for each candidate. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from ponder.core.errors import BadInput

__all__ = ["split_trials", "suggest", "value_weights"]

Choices = tuple[int, ...]


def split_trials(values: Sequence[float], share: float) -> tuple[list[int], list[int]]:
    """Return the positions of the good trials and of the others: the best `share`, rounded up; of equal ones the older.

    Args:
        values: larger is better.
        share: in (0, 1).
    """
    order = sorted(range(len(values)), key=lambda at: (-values[at], at))
    count = math.ceil(share * len(values))
    return sorted(order[:count]), sorted(order[count:])


def value_weights(seen: Sequence[int], size: int) -> list[float]:
    """Return the probability of each value of a choice: how often it was seen, with a count of one for each before.

    Args:
        seen: values in 0 .. size - 1.
        size: >= 1.
    """
    counts = [1.0] * size
    for value in seen:
        counts[value] += 1.0
    return [count / (len(seen) + size) for count in counts]


def suggest(
    trials: Sequence[tuple[Choices, float]],
    sizes: Sequence[int],
    stream: random.Random,
    *,
    startup: int = 10,
    share: float = 0.25,
    candidates: int = 24,
) -> Choices:
    """Return the choices to try next.

    Args:
        trials: choices and what they were worth, larger is better.
        sizes: of each choice, how many values it has, >= 1.
        stream: of the draws.
        startup: trials before which all is drawn uniformly, >= 1.
        share: of the trials that count as good, in (0, 1).
        candidates: draws from the good ones, >= 1.

    Raises:
        BadInput: a trial with other choices than `sizes`.
    """
    for choices, _ in trials:
        if len(choices) != len(sizes) or not all(0 <= c < size for c, size in zip(choices, sizes, strict=True)):
            raise BadInput("a trial has other choices than those that are asked for")
    if len(trials) < max(1, startup):
        return tuple(stream.randrange(size) for size in sizes)
    good, bad = split_trials([value for _, value in trials], share)
    likely = [value_weights([trials[at][0][k] for at in good], size) for k, size in enumerate(sizes)]
    other = [value_weights([trials[at][0][k] for at in bad], size) for k, size in enumerate(sizes)]
    drawn = [tuple(stream.choices(range(len(w)), w)[0] for w in likely) for _ in range(candidates)]
    return max(drawn, key=lambda choices: _ratio(choices, likely, other))


def _ratio(choices: Choices, likely: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    """Return the log of how much likelier the choices are among the good trials."""
    return sum(math.log(good[c] / bad[c]) for c, good, bad in zip(choices, likely, other, strict=True))
