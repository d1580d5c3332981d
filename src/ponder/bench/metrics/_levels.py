"""Questions that were run and graded at every place of a curve, as rows of accuracy and cost by place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ponder.bench.metrics.metric import Cost, mean_cost
from ponder.bench.rows import Row
from ponder.core.seeds import derive
from ponder.numerics.arise import Levels


@dataclass(frozen=True)
class Panel:
    """The complete questions of a curve.

    Attributes:
        questions: by problem; each with one accuracy (mean over its runs) and one cost a place.
        left: problems that lack a place, a grade or a cost.
    """

    questions: Mapping[str, Levels]
    left: int

    def means(self) -> Levels:
        """Return the mean accuracy and cost of each place; needs at least one question."""
        return mean_levels(list(self.questions.values()))

    def note(self) -> str:
        """Say what is left out."""
        return f"{self.left} prompts that lack a place, a grade or a cost left out" if self.left else ""


def panel(places: Mapping[int, Sequence[Row]], cost: Cost) -> Panel:
    """Line up the questions of a curve."""
    runs: dict[str, dict[int, list[Row]]] = {}
    for n, rows in places.items():
        for row in rows:
            runs.setdefault(row.problem, {}).setdefault(n, []).append(row)
    questions = {}
    for problem in sorted(runs):
        levels = [_level(runs[problem].get(n, ()), cost) for n in sorted(places)]
        known = [level for level in levels if level is not None]
        if len(known) == len(levels):
            questions[problem] = Levels([accuracy for accuracy, _ in known], [spent for _, spent in known])
    return Panel(questions, len(runs) - len(questions))


def mean_levels(questions: Sequence[Levels]) -> Levels:
    """Return the mean of each place over questions, at least one."""
    count = len(questions)
    accuracies = [math.fsum(level) / count for level in zip(*(q.accuracies for q in questions), strict=True)]
    return Levels(accuracies, [math.fsum(level) / count for level in zip(*(q.tokens for q in questions), strict=True)])


def resampled(
    questions: Sequence[Levels], statistic: Callable[[Levels], float | None], *, seed: int, resamples: int = 500
) -> tuple[float, float] | None:
    """Return 95 % percentile limits of a statistic of the means over resampled questions; None with fewer than two.

    Resamples for which the statistic is not defined are left out.
    """
    if len(questions) < 2:
        return None
    rng = derive(seed, "levels")
    drawn = (statistic(mean_levels(rng.choices(questions, k=len(questions)))) for _ in range(resamples))
    found = sorted(value for value in drawn if value is not None)
    return (found[round(0.025 * (len(found) - 1))], found[round(0.975 * (len(found) - 1))]) if found else None


def _level(rows: Sequence[Row], cost: Cost) -> tuple[float, float] | None:
    spent = mean_cost(rows, cost)
    if spent is None or any(row.correct is None for row in rows):
        return None
    return sum(bool(row.correct) for row in rows) / len(rows), spent
