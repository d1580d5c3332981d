"""One page about recorded runs: curves, the front of what pays, difficulty, costs by role, metrics, laws, every prompt.

What `ponder report` writes. Nothing is computed that the rows do not hold: a metric or law that cannot be read off them
says why instead. Every accuracy has its interval; what used gold stands apart.
Source: our own (DESIGN §4, reports). Cost: no model call. Needs: recorded rows; numpy (extra `bench`) for fitted laws.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ponder.bench.cost_bars import Bar, draw_bars
from ponder.bench.figure import figures
from ponder.bench.findings import percent, spell_comparison
from ponder.bench.rows import CandidateRow, Row, read_candidates, read_rows
from ponder.bench.run_folder import CANDIDATES, PROBLEMS, ROWS
from ponder.bench.studies.page import Fold, Picture, Section, Study, Table
from ponder.bench.studies.share_plot import Shares, draw_shares
from ponder.bench.summary import CurvePoint, compare, summarise
from ponder.bench.svg_plot import draw_svg
from ponder.core.errors import BadInput
from ponder.core.usage import Usage
from ponder.numerics.intervals import wilson
from ponder.planning.difficulty import Absolute, Difficulty, Evidence
from ponder.tasks.problem import Problem

__all__ = ["Runs", "read_runs", "run_report"]

_MOST_PROMPTS = 100  # unfolded on the page; all rows stay in the files
_UNITS = ("flops", "eflops", "usd", "joules")
_NOTES = (
    "Accuracy is the share of prompts answered rightly, with a 95 % interval that resamples prompts (* marks Wilson,"
    " where every prompt came out the same). A difference is called a gain only if its interval leaves out 0 and the"
    " exact test on the prompts where both disagree is below 0.05.",
    "Costs are nominal: what a run would have cost alone. Methods that sample independently share their samples, so"
    " less was paid than the points are worth.",
    "Tokens of different models are never added: where several models take part, look at FLOPs, eFLOPs (FLOPs plus the"
    " price of reading the cache) or dollars.",
    "Cut: the answer ended at the token limit. Unread: no answer of the task's type was found. Failed: the call did.",
)


@dataclass(frozen=True, kw_only=True)
class Runs:
    """What a report is about.

    Attributes:
        rows: of all runs.
        candidates: of all runs; may be empty.
        prompts: text of each problem, by id; may be empty.
        traces: folder, seen from the page, that holds RESULT.jsonl of runs whose trace was kept; "" for none.
        names: of the folders or files.
    """

    rows: tuple[Row, ...]
    candidates: tuple[CandidateRow, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    traces: str = ""
    names: tuple[str, ...] = ()


def run_report(runs: Runs, *, more: Sequence[Callable[[Sequence[Row]], Section | None]] = (), seed: int = 0) -> Study:
    """Return the report.

    Args:
        runs: what was recorded.
        more: further sections made from the rows (fitted laws, metrics).
        seed: of the resampling.

    Raises:
        BadInput: there is no row.
    """
    if not runs.rows:
        raise BadInput("there is no row to report on")
    rows = _named(runs.rows)
    points = summarise(rows, seed=seed)
    families = list(dict.fromkeys(row.family for row in rows))
    sections: list[Section] = []
    for family in families:
        own = [row for row in rows if row.family == family]
        found = [point for point in points if point.family == family]
        sections.append(_curves(family, own, found, seed))
        sections += [part for part in (_difficulty(family, own), _costs(family, own, found)) if part is not None]
    sections += [part for make in more if (part := make(rows)) is not None]
    sections.append(_prompts(runs, rows))
    models = sorted({row.model for row in rows})
    broken = Counter(row.stopped for row in rows if row.stopped not in ("done", "agreement"))
    return Study(
        name="report",
        title="What the runs say",
        facts=(
            *models,
            f"{len({(row.family, row.problem) for row in rows})} problems of {', '.join(families)}",
            f"{len(rows):,} runs",
            *runs.names,
        ),
        warning=f"Ended early: {', '.join(f'{n} by {why}' for why, n in broken.items())}" if broken else "",
        sections=tuple(sections),
        notes=_NOTES,
        data={"points": [_plain(point) for point in points]},
    )


def _named(rows: Sequence[Row]) -> list[Row]:
    """Give curves that would be confused a name of their own: by model, and by budget."""
    several = len({row.model for row in rows}) > 1
    out = []
    for row in rows:
        name = " · ".join(filter(None, (row.curve, row.model if several else "", row.budget)))
        out.append(row if name == row.curve else replace(row, curve=name))
    return out


def _curves(family: str, rows: Sequence[Row], points: Sequence[CurvePoint], seed: int) -> Section:
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
    body = []
    for point in points:
        own = [row for row in rows if (row.curve, row.n) == (point.curve, point.n)]
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


def _mean_cost(rows: Sequence[Row], unit: str) -> str:
    known = [row.costs[unit] for row in rows if unit in row.costs]
    return f"{sum(known) / len(known):.3g}" if len(known) == len(rows) and known else "unknown"


def _difficulty(family: str, rows: Sequence[Row]) -> Section | None:
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
    last = {row.curve: max(r.n for r in rows if r.curve == row.curve) for row in rows}
    series = []
    for curve, n in last.items():
        right: dict[str, list[bool]] = {}
        for row in rows:
            if (row.curve, row.n) == (curve, n) and row.correct is not None and row.problem in of:
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


def _costs(family: str, rows: Sequence[Row], points: Sequence[CurvePoint]) -> Section | None:
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


def _prompts(runs: Runs, rows: Sequence[Row]) -> Section:
    problems = list(dict.fromkeys((row.family, row.problem) for row in rows))
    answers: dict[str, list[CandidateRow]] = {}
    for candidate in runs.candidates:
        answers.setdefault(candidate.run, []).append(candidate)
    folds = []
    for family, problem in problems[:_MOST_PROMPTS]:
        own = [row for row in rows if (row.family, row.problem) == (family, problem)]
        right, graded = sum(row.correct is True for row in own), sum(row.correct is not None for row in own)
        head = ("curve", "n", "answer", "grade", "tokens", "ended", "answers: right/read/all")
        body = tuple(
            (
                row.curve,
                str(row.n),
                "–" if row.answer is None else row.answer[:60],
                {True: "✓", False: "✗", None: "–"}[row.correct],
                f"{row.nominal.tokens:,}",
                row.stopped,
                f"{sum(c.correct is True for c in answers[row.run])}/"
                f"{sum(c.answer is not None for c in answers[row.run])}/{len(answers[row.run])}"
                if row.run in answers
                else str(row.candidates),
            )
            for row in own
        )
        largest = max(own, key=lambda row: len(answers.get(row.run, ())))
        tables = [Table(head=head, rows=body)]
        if found := answers.get(largest.run):
            tables.append(_answers(largest, found))
        traced = next((row for row in own if row.result and runs.traces), None)
        text = runs.prompts.get(problem, "")
        folds.append(
            Fold(
                summary=f"{_short(text) or problem}  ({right} of {graded} points right)",
                text=text,
                tables=tuple(tables),
                link=f"{runs.traces}/{traced.result}.jsonl" if traced is not None else "",
            )
        )
    left = len(problems) - len(folds)
    note = "Open a prompt to see what each point chose, and the answers of the run that drew the most."
    return Section(
        title="Every prompt", note=f"{note} {left} more are in the files." if left else note, folds=tuple(folds)
    )


def _answers(row: Row, found: Sequence[CandidateRow]) -> Table:
    names = list(dict.fromkeys(name for candidate in found for name in candidate.scores))
    body = []
    for one in sorted(found, key=lambda candidate: candidate.index):
        scores = ["–" if (s := one.scores.get(name)) is None else f"{s:.3g}" for name in names]
        said = one.error or one.text or one.answer or "–"
        body.append(
            (
                str(one.index),
                "–" if one.answer is None else one.answer[:40],
                {True: "✓", False: "✗", None: "–"}[one.correct],
                *scores,
                "–" if one.certainty is None else f"{one.certainty:.2f}",
                str(one.usage.completion_tokens),
                one.finish or "failed",
                _short(said),
            )
        )
    label = row.curve if row.n == 1 else f"{row.curve} @ {row.n}"
    head = ("#", "answer", "grade", *names, "certainty", "tokens", "finish", "text")
    return Table(title=f"Answers of {label}", head=head, rows=tuple(body))


def _short(text: str, length: int = 90) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _plain(point: CurvePoint) -> dict[str, Any]:
    return {
        "family": point.family,
        "curve": point.curve,
        "n": point.n,
        "prompts": point.prompts,
        "accuracy": None if point.accuracy is None else point.accuracy._asdict(),
        "tokens": point.tokens,
        "seconds": point.seconds,
        "cut": point.cut,
        "unread": point.unread,
        "failed": point.failed,
        "self_graded": point.self_graded,
        "usage": {role: used.to_json() for role, used in point.usage.items()},
    }


def read_runs(paths: Sequence[Path], page: Path) -> Runs:
    """Read run folders, or files of rows.

    Args:
        paths: folders and files.
        page: where the report will stand, for links to traces.

    Raises:
        BadInput: one cannot be read.
    """
    rows: list[Row] = []
    candidates: list[CandidateRow] = []
    prompts: dict[str, str] = {}
    traces = ""
    for path in paths:
        if not path.is_dir():
            rows += read_rows(path)
            continue
        rows += read_rows(path / ROWS)
        if (path / CANDIDATES).exists():
            candidates += read_candidates(path / CANDIDATES)
        if (path / PROBLEMS).exists():
            prompts |= _read_prompts(path / PROBLEMS)
        if (path / "traces").is_dir():
            traces = os.path.relpath(path / "traces", page.parent)
    return Runs(
        rows=tuple(rows),
        candidates=tuple(candidates),
        prompts=prompts,
        traces=traces,
        names=tuple(str(path) for path in paths),
    )


def _read_prompts(file: Path) -> dict[str, str]:
    prompts = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            task = Problem.from_json(json.loads(line)).task
        except (ValueError, KeyError, TypeError) as err:
            raise BadInput(f"{file}:{number}: not a problem: {err}") from err
        prompts[task.id] = task.prompt
    return prompts
