"""What the report says beyond the curves: the front of what pays, ARISE and other metrics, and laws with their misses.

Source: our own; the numbers are those of the registered metrics (`ponder.bench.metrics`) and laws
(`ponder.planning.laws`). A law is fitted to all points of a curve, and once more without the budgets beyond a quarter
of the largest: how far it then misses them is said beside it.
Cost: no model call. Needs: recorded rows; some metrics and laws need numpy (extra `bench`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ponder.bench.metrics.metric import Group, Measure
from ponder.bench.rows import Row
from ponder.bench.studies.page import Section, Table
from ponder.bench.summary import summarise
from ponder.core.errors import BadInput, MissingExtra
from ponder.core.registry import laws, metrics
from ponder.planning.laws.law import Law, Observation, applies, held_out
from ponder.planning.laws.saturation import Saturation

__all__ = ["front_section", "laws_section", "metrics_section", "observations"]

# Shown elsewhere on the page.
_APART = ("accuracy", "frontier")


def front_section(rows: Sequence[Row]) -> Section | None:
    """Return the places that nothing beats in cost and accuracy, and how much each curve covers."""
    found = metrics.get("frontier").make().compute(rows)
    points = {(p.family, p.curve, p.n): p for p in summarise(rows)}
    body = []
    for measure in found:
        group = measure.group
        point = points.get((group.family, group.curve, group.n or 0))
        if measure.name == "on_frontier" and measure.value == 1 and point is not None and point.accuracy is not None:
            body.append(
                (group.family, group.curve, str(group.n), f"{point.accuracy.value:.1%}", f"{point.tokens:,.0f}")
            )
    if not body:
        return None
    volumes = [
        f"{measure.group.family}: hypervolume {measure.value:,.4g} ({measure.note})"
        for measure in found
        if measure.name == "hypervolume" and measure.value is not None
    ]
    areas = tuple(
        (m.group.family, m.group.curve, "–" if m.value is None else f"{m.value:.1%}", m.note)
        for m in found
        if m.name == "log_cost_area"
    )
    return Section(
        title="What nothing else beats",
        note="The Pareto front of accuracy and policy tokens: every other place is dearer, less accurate, or both.",
        lines=tuple(volumes),
        tables=(
            Table(head=("family", "curve", "n", "accuracy", "tokens"), rows=tuple(body)),
            Table(
                title="Mean accuracy over the logarithm of the cost",
                head=("family", "curve", "area", "over"),
                rows=areas,
            ),
        ),
    )


def metrics_section(rows: Sequence[Row]) -> Section | None:
    """Return every other registered metric: of whole curves, and of the largest place of each."""
    largest: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row.family, row.model, row.curve)
        largest[key] = max(row.n, largest.get(key, 0))
    tables = []
    for entry in metrics.entries():
        if entry.name in _APART:
            continue
        try:
            found = entry.make().compute(rows)
        except MissingExtra as err:
            tables.append(Table(title=f"{entry.name}: {err}", head=("family",), rows=()))
            continue
        shown = [m for m in found if m.group.n is None or m.group.n == largest.get(m.group[:3])]
        told = [m for m in shown if m.value is not None]
        if told:
            tables.append(Table(title=_title(entry.name, entry.summary), head=_HEAD, rows=tuple(map(_cells, told))))
        elif shown:
            why = "; ".join(sorted({m.note for m in shown}))
            tables.append(
                Table(title=f"{entry.name}: cannot be told from these rows ({why})", head=("family",), rows=())
            )
    return Section(title="Metrics", note="Of whole curves, and of the largest place of each.", tables=tuple(tables))


def laws_section(rows: Sequence[Row]) -> Section | None:
    """Return what each law says of each curve with at least three budgets, and how far it misses held-out ones."""
    body, refused = [], []
    for (family, curve), points in observations(rows).items():
        if len(points) < 3:
            continue
        for entry in laws.entries():
            law: Law = entry.make()
            if not applies(law, points):
                continue
            try:
                report = law.fit(points).report()
            except (BadInput, MissingExtra) as err:
                refused.append(f"{entry.name} of {family}, {curve}: {err}")
                continue
            at = report.get("saturation")
            body.append(
                (
                    f"{family}, {curve}",
                    entry.name,
                    _parameters(report),
                    _number(report.get("r2"), ".3f"),
                    _number(report.get("rmse"), ".3f"),
                    _miss(law, points),
                    "" if "saturation" not in report else "open" if at is None else str(at),
                )
            )
    if not body:
        return None
    head = ("curve", "law", "parameters", "R²", "RMSE", "held out: miss at 2 x, 4 x", "saturates at n")
    return Section(
        title="Laws",
        note="Fitted to each curve. The miss is the mean absolute error in accuracy at twice and four times the largest"
        " budget seen, from a fit that did not see them. Saturation: the next unit adds less than a point; open where"
        " the points do not fix the ceiling.",
        lines=tuple(refused),
        tables=(Table(head=head, rows=tuple(body)),),
    )


def observations(rows: Iterable[Row]) -> dict[tuple[str, str], list[Observation]]:
    """Return the measured points of each (family, curve), n growing; ungraded ones are left out."""
    found: dict[tuple[str, str], list[Observation]] = {}
    for point in summarise(rows):
        if point.accuracy is not None and point.graded:
            found.setdefault((point.family, point.curve), []).append(
                Observation(n=point.n, accuracy=point.accuracy.value, questions=point.graded, cost=point.tokens)
            )
    return found


_HEAD = ("curve", "n", "measure", "value", "unit", "prompts", "note")


def _title(name: str, summary: str) -> str:
    said = summary.partition(": ")[2] or summary
    return f"{name}: {said.rstrip('.')}"


def _cells(measure: Measure) -> tuple[str, ...]:
    value = "–" if measure.value is None else f"{measure.value:,.4g}"
    if measure.interval is not None:
        value += " [{:,.3g}, {:,.3g}]".format(*measure.interval)
    group = measure.group
    n = "all" if group.n is None else str(group.n)
    return (_where(group), n, measure.name, value, measure.unit, str(measure.prompts or ""), measure.note)


def _where(group: Group) -> str:
    return ", ".join(filter(None, (group.family, group.curve))) or "all"


def _miss(law: Law, points: Sequence[Observation]) -> str:
    largest = max(point.n for point in points)
    if isinstance(law, Saturation):
        law = replace(law, resamples=0)  # the interval of the ceiling predicts nothing
    try:
        found = held_out(law, points, beyond=largest / 4)
    except BadInput:
        return "too few points"
    missed = {n: abs(seen - said) for n, seen, said in found.points}
    at = [missed.get(largest / 2), missed.get(largest)]
    return ", ".join("–" if error is None else f"{100 * error:.1f} points" for error in at)


def _parameters(report: dict[str, object]) -> str:
    skip = {"eps", "saturation", "accuracy_there", "points", "range", "rmse", "r2", "refused"}
    return ", ".join(f"{name} {value:.3g}" for name, value in report.items() if name not in skip and _finite(value))


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else "–"
