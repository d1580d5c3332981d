"""What the report says of one task family: its curves, accuracy by difficulty, and what each role cost.

Source: our own (DESIGN §4, reports). Every accuracy has its interval. Costs of several models are compared in FLOPs or
dollars, never in tokens.
Cost: no model call. Needs: recorded rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ponder.bench.cost_bars import Bar, draw_bars
from ponder.bench.figure import figures
from ponder.bench.findings import percent, spell_comparison
from ponder.bench.rows import Row
from ponder.bench.studies.page import Picture, Section, Table
from ponder.bench.studies.share_plot import Shares, draw_shares
from ponder.bench.summary import CurvePoint, compare
from ponder.bench.svg_plot import draw_svg
from ponder.core.usage import Usage
from ponder.numerics.intervals import wilson
from ponder.planning.difficulty import Absolute, Difficulty, Evidence

__all__ = ["costs_section", "curves_section", "difficulty_section"]

_UNITS = ("flops", "eflops", "usd", "joules")


def curves_section(family: str, rows: Sequence[Row], points: Sequence[CurvePoint], seed: int) -> Section:
    """Return accuracy against tokens of one task family: picture, comparisons, and every point as a line."""
    pictures = tuple(
        Picture(
            svg=draw_svg(figure, title=f"Accuracy against tokens: {family}"),
            labels=tuple(series.label for series in figure.series),
            caption="Bars: 95 % intervals over prompts.",
        )
        for figure in figures(points)
    )
    graded = [point for point in points if point.accuracy is not None]
    base = next((p for p in graded if p.method == "greedy"), graded[0] if graded else None)
    lines = []
    for curve in dict.fromkeys(point.curve for point in graded):
        last = max((p for p in graded if p.curve == curve), key=lambda p: p.n)
        if base is None or (last.curve, last.n) == (base.curve, base.n):
            continue
        found = compare(rows, family, (last.curve, last.n), (base.curve, base.n), seed=seed)
        lines += [spell_comparison(found)] if found is not None else []
    badge = (
        "Some curves choose by the program that grades them (verifier = grader)."
        if any(point.self_graded for point in points)
        else ""
    )
    return Section(
        title=family,
        note=" ".join(filter(None, (f"{points[0].prompts} prompts.", badge))),
        pictures=pictures,
        lines=tuple(lines),
        tables=(_points_table(rows, points),),
    )


def _points_table(rows: Sequence[Row], points: Sequence[CurvePoint]) -> Table:
    units = [unit for unit in _UNITS if any(unit in row.costs for row in rows)]
    places = _by_place(rows)
    body = []
    for point in points:
        own = places.get((point.curve, point.n), [])
        seconds = "" if point.seconds is None else f"{point.seconds:.2f}" + ("" if point.measured else "†")
        body.append(
            (
                point.curve,
                str(point.n),
                percent(point.accuracy),
                f"{point.mean('prompt_tokens'):,.0f}",
                f"{point.mean('completion_tokens'):,.0f}",
                *(_mean_cost(own, unit) for unit in units),
                seconds,
                f"{point.cut:.0%}",
                f"{point.unread:.0%}",
                f"{point.failed:.0%}",
            )
        )
    head = ("curve", "n", "accuracy", "prompt", "written", *units, "seconds", "cut", "unread", "failed")
    return Table(
        title="A problem's mean (policy tokens; † put together from measured pace)", head=head, rows=tuple(body)
    )


def _by_place(rows: Sequence[Row]) -> dict[tuple[str, int], list[Row]]:
    found: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        found.setdefault((row.curve, row.n), []).append(row)
    return found


def _mean_cost(rows: Sequence[Row], unit: str) -> str:
    known = [row.costs[unit] for row in rows if unit in row.costs]
    return f"{sum(known) / len(known):.3g}" if len(known) == len(rows) and known else "unknown"


def difficulty_section(family: str, rows: Sequence[Row]) -> Section | None:
    """Return accuracy by declared level, or else by how far the samples of a question agree."""
    levels = {row.problem: row.level for row in rows if row.level is not None}
    if len(set(levels.values())) > 1:
        of = {problem: f"level {level:g}" for problem, level in levels.items()}
        names = [f"level {level:g}" for level in sorted(set(levels.values()))]
        how = "the level that the task family declares"
    else:
        binning = Difficulty(estimator="agreement", binning=Absolute(thresholds=(0.75, 0.4)))
        pooled = _largest_evidence(rows)
        values = {problem: binning.value(seen) for problem, seen in pooled.items() if len(seen.groups) > 1}
        bins = binning.fit(list(values.values()))
        of = {problem: bins.of(value) for problem, value in values.items()}
        names = [name for name in bins.names if name in of.values()]
        how = "agreement among the samples: easy from 75 %, hard below 40 %"
    if len(names) < 2:
        return None
    last: dict[str, int] = {}
    for row in rows:
        last[row.curve] = max(row.n, last.get(row.curve, row.n))
    places = _by_place(rows)
    series = []
    for curve, n in last.items():
        right: dict[str, list[bool]] = {}
        for row in places[curve, n]:
            if row.correct is not None and row.problem in of:
                right.setdefault(of[row.problem], []).append(row.correct)
        series.append(
            Shares(
                label=curve if n == 1 else f"{curve} @ {n}",
                values=tuple(wilson(sum(right[name]), len(right[name])) if name in right else None for name in names),
            )
        )
    counts = Counter(of.values())
    return Section(
        title=f"{family}: by difficulty",
        note=f"Difficulty is {how}. {', '.join(f'{name}: {counts[name]}' for name in names)} problems.",
        pictures=(
            Picture(
                svg=draw_shares(
                    names, series, title=f"Accuracy by difficulty: {family}", axis="easiest first", joined=True
                ),
                labels=tuple(shown.label for shown in series),
                caption="The largest point of each curve. Bars: 95 % Wilson intervals.",
            ),
        ),
    )


def _largest_evidence(rows: Sequence[Row]) -> dict[str, Evidence]:
    out: dict[str, Evidence] = {}
    for row in rows:
        if row.evidence is not None and len(row.evidence.groups) > len(
            out.get(row.problem, Evidence(groups=())).groups
        ):
            out[row.problem] = row.evidence
    return out


def costs_section(family: str, rows: Sequence[Row], points: Sequence[CurvePoint]) -> Section | None:
    """Return what each role took, in tokens where all roles are one model, else in FLOPs or dollars."""
    roles = list(dict.fromkeys(role for point in points for role in point.usage))
    one_model = all(name == row.model for row in rows for role, name in row.roles.items() if role in row.usage)
    unit = next((u for u in ("tokens", "flops", "usd") if _known(u, points, one_model)), None)
    if unit is None or not roles:
        return None
    last = [
        max((p for p in points if p.curve == curve), key=lambda p: p.n)
        for curve in dict.fromkeys(p.curve for p in points)
    ]
    bars = [
        Bar(
            label=point.curve if point.n == 1 else f"{point.curve} @ {point.n}",
            parts=tuple(_role_cost(point.usage.get(role), unit) / point.prompts for role in roles),
        )
        for point in last
    ]
    body = []
    for point in points:
        cells = []
        for role in roles:
            used = point.usage.get(role, Usage())
            cells.append(
                f"{used.calls / point.prompts:.3g} · {used.prompt_tokens / point.prompts:,.0f}"
                f" + {used.completion_tokens / point.prompts:,.0f}"
                if used.calls
                else "–"
            )
        body.append((point.curve, str(point.n), *cells))
    return Section(
        title=f"{family}: cost by role",
        note=f"A problem's mean {unit} by role; of each curve its largest point.",
        pictures=(
            Picture(
                svg=draw_bars(bars, roles, title=f"Cost by role: {family}", unit=unit),
                labels=tuple(roles),
                caption=f"Mean {unit} of a problem.",
            ),
        ),
        tables=(
            Table(title="Calls · prompt + written tokens of a problem", head=("curve", "n", *roles), rows=tuple(body)),
        ),
    )


def _known(unit: str, points: Sequence[CurvePoint], one_model: bool) -> bool:
    if unit == "tokens":
        return one_model
    return all(getattr(used, unit) is not None for point in points for used in point.usage.values())


def _role_cost(used: Usage | None, unit: str) -> float:
    return 0.0 if used is None else float(getattr(used, unit) or 0.0)
