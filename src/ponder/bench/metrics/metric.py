"""What a metric is: a frozen dataclass of settings that turns recorded rows into measures, each with its group.

A metric is registered with `ponder.core.registry.metrics`. What the rows cannot show is a measure without a value that
says why, never 0. Rows may come in any order; measures come sorted by their group.
Source: our own (DESIGN §6). Intervals resample whole prompts (95 %); where all values are the same, shares get the
Wilson interval instead, since resampling would state no doubt at all.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from ponder.bench.rows import Row
from ponder.core.errors import ConfigError
from ponder.core.usage import Usage
from ponder.numerics.intervals import Interval, cluster_bootstrap, wilson

__all__ = [
    "COSTS",
    "Cost",
    "Group",
    "Measure",
    "Metric",
    "check_cost",
    "cost_of",
    "curves",
    "mean_cost",
    "mean_measure",
    "missing",
    "points",
]

Cost: TypeAlias = Literal["tokens", "completion_tokens", "flops", "eflops", "usd"]
COSTS: tuple[Cost, ...] = ("tokens", "completion_tokens", "flops", "eflops", "usd")


class Group(NamedTuple):
    """What a measure is of; an empty part means all of them.

    Attributes:
        family: of tasks.
        model: of the policy.
        curve: of the family.
        n: place on the curve, or None for the whole curve.
    """

    family: str = ""
    model: str = ""
    curve: str = ""
    n: int | None = None


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One number.

    Attributes:
        name: of what is measured, unique within the metric and the group.
        value: finite, or None where it cannot be told.
        unit: of the value.
        group: what it is of.
        interval: 95 % limits, or None where there are none.
        prompts: how many the value rests on.
        note: why there is no value; or what the value depends on (a reference, a binning).
    """

    name: str
    value: float | None
    unit: str
    group: Group
    interval: tuple[float, float] | None = None
    prompts: int = 0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; the group's parts stand beside the others."""
        body = asdict(self)
        del body["group"]
        body["interval"] = None if self.interval is None else list(self.interval)
        return {**self.group._asdict(), **body}


class Metric(Protocol):
    """A family of measures."""

    def compute(self, rows: Sequence[Row]) -> list[Measure]:
        """Return the measures of the rows, sorted by group; none for no rows."""
        ...


def points(rows: Iterable[Row]) -> dict[Group, list[Row]]:
    """Return the rows of each place on each curve, both in an order that does not depend on that of the rows."""
    found: dict[Group, list[Row]] = {}
    for row in rows:
        found.setdefault(Group(row.family, row.model, row.curve, row.n), []).append(row)
    return {group: _ordered(found[group]) for group in sorted(found, key=lambda g: (*g[:3], g.n or 0))}


def curves(rows: Iterable[Row]) -> dict[Group, dict[int, list[Row]]]:
    """Return the rows of each curve by their place on it, n growing."""
    found: dict[Group, dict[int, list[Row]]] = {}
    for group, members in points(rows).items():
        found.setdefault(group._replace(n=None), {})[group.n or 0] = members
    return found


def check_cost(cost: str) -> None:
    """Check a setting.

    Raises:
        ConfigError: no such unit.
    """
    if cost not in COSTS:
        raise ConfigError(f"cost must be one of {', '.join(COSTS)}, got {cost!r}")


def cost_of(row: Row, cost: Cost) -> float | None:
    """Return the nominal cost of a run, or None where it is not known.

    Tokens are the policy's: those of other roles may be of other models. FLOPs and money are of all roles.
    """
    policy = row.usage.get("policy", Usage())
    match cost:
        case "tokens":
            return float(policy.tokens)
        case "completion_tokens":
            return float(policy.completion_tokens)
        case "flops":
            return row.costs.get("flops", row.nominal.flops)
        case "usd":
            return row.costs.get("usd", row.nominal.usd)
        case "eflops":
            return row.costs.get("eflops")


def mean_cost(rows: Sequence[Row], cost: Cost) -> float | None:
    """Return the mean cost of a run, or None where that of any is not known."""
    known = [spent for row in rows if (spent := cost_of(row, cost)) is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(rows) else None


def mean_measure(
    name: str,
    group: Group,
    values: Sequence[float],
    prompts: Sequence[Hashable],
    *,
    unit: str,
    seed: int = 0,
    share: bool = False,
    note: str = "",
    change: Callable[[float], float] = float,
) -> Measure:
    """Return the mean of values with its interval over resampled prompts.

    Args:
        name: of the measure.
        group: of the measure.
        values: at least one, in an order that does not depend on that of the rows.
        prompts: of each value.
        unit: of the measure.
        seed: of the resampling.
        share: whether the values are shares of right answers, so that equal ones (all 0, all 1) have a Wilson interval.
        note: of the measure.
        change: growing function applied to the mean and to its limits.
    """
    count = len(set(prompts))
    if len(set(values)) > 1 and count > 1:
        found: Interval | None = cluster_bootstrap(values, prompts, seed=seed)
    else:
        found = wilson(values[0] * count, count) if share and len(set(values)) == 1 else None
    mean = math.fsum(values) / len(values)
    return Measure(
        name=name,
        value=change(mean),
        unit=unit,
        group=group,
        interval=None if found is None else (change(found.low), change(found.high)),
        prompts=count,
        note=note,
    )


def missing(name: str, group: Group, why: str, *, unit: str) -> Measure:
    """Return a measure without a value."""
    return Measure(name=name, value=None, unit=unit, group=group, note=why)


def _ordered(rows: Iterable[Row]) -> list[Row]:
    out: list[Row] = []
    for _, same in groupby(sorted(rows, key=_place), key=_place):
        alike = list(same)
        # Runs of one place differ in their content at most: that orders them, where there are several.
        out += alike if len(alike) == 1 else sorted(alike, key=_content)
    return out


def _place(row: Row) -> tuple[str, int, str]:
    return row.problem, row.seed, row.run


def _content(row: Row) -> str:
    return json.dumps(row.to_json(), sort_keys=True, default=str)
