"""Where thinking longer makes answers worse: falls of accuracy between budgets, on the same problems, with intervals.

Source: our own, for a finding of Huang et al. 2025, arXiv:2504.00869 (m1, card 07): accuracy rises with the budget and
then falls. Every pair of budgets is compared on the same problems; the intervals hold for all pairs together
(Bonferroni), since the pair that looks worst is picked from them: without that a fall would be found in noise. Problems
with one run each give Tango's score interval, others resample whole problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from ponder.core.errors import BadInput
from ponder.numerics.intervals import Interval, paired_difference
from ponder.numerics.paired import paired_score_interval

__all__ = ["Change", "Overthinking", "expected_accuracy", "overthinking"]


class Change(NamedTuple):
    """From one budget to a larger one.

    Attributes:
        low, high: the budgets.
        difference: accuracy at `high` minus that at `low`, with limits that hold for all pairs together.
        to_right: problems that went from wrong to right (more right than before, where there are several runs).
        to_wrong: the other way.
    """

    low: int
    high: int
    difference: Interval
    to_right: int
    to_wrong: int


@dataclass(frozen=True, kw_only=True)
class Overthinking:
    """What larger budgets did.

    Attributes:
        accuracies: by budget, growing.
        changes: of every pair of budgets.
        level: of all intervals together.
        problems: that were compared.
    """

    accuracies: Mapping[int, float]
    changes: tuple[Change, ...]
    level: float
    problems: int

    @property
    def peak(self) -> int:
        """The smallest budget with the highest accuracy."""
        best = max(self.accuracies.values())
        return next(budget for budget, value in self.accuracies.items() if value == best)

    @property
    def falls(self) -> tuple[Change, ...]:
        """Changes whose whole interval is below 0."""
        return tuple(change for change in self.changes if change.difference.high < 0)

    @property
    def where(self) -> Change | None:
        """The narrowest fall, the earliest of equals: between these budgets accuracy falls; None for no fall."""
        order = list(self.accuracies)
        return min(self.falls, key=lambda c: (order.index(c.high) - order.index(c.low), c.low), default=None)

    def between(self, low: int, high: int) -> Change:
        """Return the change between two budgets."""
        return next(change for change in self.changes if (change.low, change.high) == (low, high))


def overthinking(right: Mapping[int, Sequence[float]], *, level: float = 0.95, seed: int = 0) -> Overthinking:
    """Return what larger budgets did.

    Args:
        right: for each budget the share of right answers to each problem, in [0, 1] and in the same order.
        level: that the intervals have together, in (0, 1).
        seed: of resampling, where problems have several runs.

    Raises:
        BadInput: no budgets, no problems, or not as many for each budget.
    """
    budgets = sorted(right)
    count = {len(values) for values in right.values()}
    if not budgets or len(count) != 1 or not min(count):
        raise BadInput("budgets are compared on the same problems: needs at least one, and as many for each budget")
    (problems,) = count
    pairs = list(combinations(budgets, 2))
    own = 1 - (1 - level) / max(1, len(pairs))
    changes = []
    for low, high in pairs:
        before, after = right[low], right[high]
        won = sum(a > b for a, b in zip(after, before, strict=True))
        lost = sum(a < b for a, b in zip(after, before, strict=True))
        if all(value in (0, 1) for value in (*before, *after)):
            difference = paired_score_interval(won, lost, problems, level=own)
        else:
            difference = paired_difference(after, before, list(range(problems)), level=own, seed=seed)
        changes.append(Change(low, high, difference, won, lost))
    means = {budget: sum(right[budget]) / problems for budget in budgets}
    return Overthinking(accuracies=means, changes=tuple(changes), level=level, problems=problems)


def expected_accuracy(steps: int, *, find: float, flip: float) -> list[float]:
    """Return the accuracy after 0, 1, ..., `steps` steps of a solver that errs as it thinks on (card 07, check 7).

    A step finds the answer with chance `find`; a solver that has it loses it for good with chance `flip`.
    """
    searching, right = 1.0, 0.0
    found = [right]
    for _ in range(steps):
        searching, right = searching * (1 - find), right * (1 - flip) + searching * find
        found.append(right)
    return found
