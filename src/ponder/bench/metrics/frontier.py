"""Frontier: which places of all curves no other beats in cost and accuracy, and how much they cover.

Source: hypervolume of Zitzler & Thiele 1998 (`ponder.numerics.pareto`); the area over log cost is our own.
Differs: the reference is stated with every hypervolume, since it is worth nothing without it. Places are compared on
their own questions: run the same questions everywhere. Tokens of two models do not compare; FLOPs and money do.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ponder.bench.metrics.metric import Cost, Group, Measure, check_cost, mean_cost, missing, points
from ponder.bench.rows import Row
from ponder.core.errors import ConfigError
from ponder.core.registry import metrics
from ponder.numerics.pareto import Outcome, hypervolume, pareto_frontier
from ponder.numerics.slopes import log_cost_area

__all__ = ["Frontier"]


@metrics("frontier", tags={"how_well": ("efficiency", "scalability")})
@dataclass(frozen=True, kw_only=True)
class Frontier:
    """Cost against accuracy.

    Attributes:
        cost: unit; "tokens" and "completion_tokens" compare within a model, the others across models.
        reference_cost: of the hypervolume, above 0; None is twice the dearest place of the family.
        reference_accuracy: of the hypervolume, in [0, 1].
    """

    cost: Cost = "tokens"
    reference_cost: float | None = None
    reference_accuracy: float = 0.0

    def __post_init__(self) -> None:
        check_cost(self.cost)
        if self.reference_cost is not None and not self.reference_cost > 0:
            raise ConfigError(f"reference_cost must be above 0, got {self.reference_cost!r}")
        if not 0 <= self.reference_accuracy <= 1:
            raise ConfigError(f"reference_accuracy must be in [0, 1], got {self.reference_accuracy!r}")

    def compute(self, rows: Sequence[Row]) -> list[Measure]:
        """Return `hypervolume` of each family, `on_frontier` of each place, `log_cost_area` of each curve."""
        families: dict[Group, dict[Group, Outcome | None]] = {}
        for group, members in points(rows).items():
            model = group.model if self.cost in ("tokens", "completion_tokens") else ""
            families.setdefault(Group(group.family, model), {})[group] = self._outcome(members)
        return [measure for whole, places in families.items() for measure in self._family(whole, places)]

    def _outcome(self, members: Sequence[Row]) -> Outcome | None:
        graded = [row for row in members if row.correct is not None]
        cost = mean_cost(graded, self.cost)
        return Outcome(cost, sum(bool(row.correct) for row in graded) / len(graded)) if cost else None

    def _family(self, whole: Group, places: dict[Group, Outcome | None]) -> list[Measure]:
        known = {group: outcome for group, outcome in places.items() if outcome is not None}
        why = f"no grade, or no known {self.cost}"
        found = [self._volume(whole, list(known.values()), why)]
        groups = list(known)
        best = {groups[at] for at in pareto_frontier(list(known.values()))}
        for group in places:
            if group in known:
                found.append(Measure(name="on_frontier", value=float(group in best), unit="0 or 1", group=group))
            else:
                found.append(missing("on_frontier", group, why, unit="0 or 1"))
        curves: dict[Group, list[Outcome]] = {group._replace(n=None): [] for group in places}
        for group, outcome in known.items():
            curves[group._replace(n=None)].append(outcome)
        for group, curve in curves.items():
            area = log_cost_area([point.cost for point in curve], [point.value for point in curve])
            if area is None:
                found.append(
                    missing("log_cost_area", group, "needs two places of known, different cost", unit="accuracy")
                )
            else:
                note = f"from {min(curve).cost:g} to {max(curve).cost:g} {self.cost}"
                found.append(Measure(name="log_cost_area", value=area, unit="accuracy", group=group, note=note))
        return found

    def _volume(self, whole: Group, outcomes: Sequence[Outcome], why: str) -> Measure:
        unit = f"accuracy x {self.cost}"
        if not outcomes:
            return missing("hypervolume", whole, why, unit=unit)
        cost = self.reference_cost or 2 * max(point.cost for point in outcomes)
        value = hypervolume(outcomes, Outcome(cost, self.reference_accuracy))
        note = f"reference: {cost:g} {self.cost}, accuracy {self.reference_accuracy:g}"
        return Measure(name="hypervolume", value=value, unit=unit, group=whole, note=note)
