"""One page about recorded runs: curves, the front of what pays, difficulty, costs by role, metrics, laws,
some runs in detail, every prompt.

What `ponder report` writes. Nothing is computed that the rows do not hold: a metric or law that cannot be read off them
says why instead. Every accuracy has its interval; what used gold stands apart.
Source: our own (DESIGN §4, reports). Cost: no model call. Needs: recorded rows; numpy (extra `bench`) for fitted laws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ponder.bench.family_sections import costs_section, curves_section, difficulty_section
from ponder.bench.prompt_section import prompt_section
from ponder.bench.recorded_runs import Runs
from ponder.bench.rows import Row
from ponder.bench.studies.page import Section, Study
from ponder.bench.summary import CurvePoint, summarise
from ponder.bench.trace_section import trace_section
from ponder.core.errors import BadInput

__all__ = ["run_report"]

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


def run_report(
    runs: Runs,
    *,
    more: Sequence[Callable[[Sequence[Row]], Section | None]] = (),
    traces: int = 3,
    seed: int = 0,
) -> Study:
    """Return the report.

    Args:
        runs: what was recorded.
        more: further sections made from the rows (fitted laws, metrics).
        traces: runs of a curve that are shown in detail.
        seed: of the resampling.

    Raises:
        BadInput: there is no row, or a file of traces cannot be read.
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
        sections.append(curves_section(family, own, found, seed))
        sections += [
            part for part in (difficulty_section(family, own), costs_section(family, own, found)) if part is not None
        ]
    sections += [part for make in more if (part := make(rows)) is not None]
    detail = trace_section(runs, rows, most=traces)
    sections += [] if detail.section is None else [detail.section]
    sections.append(prompt_section(runs, rows, detail.places))
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
