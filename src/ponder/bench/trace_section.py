"""Some runs of the report in detail: of each curve the dearest, the dearest wrong one, one that ended early.

The page holds their traces itself; all others stay in the run folder (`ponder.bench.traces.read_packed`).
Source: our own. Cost: no model call. Needs: recorded rows with traces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ponder.bench.prompt_section import short
from ponder.bench.recorded_runs import Runs
from ponder.bench.rows import CandidateRow, Row
from ponder.bench.studies.page import Fold, Section, Table
from ponder.bench.trace_tree import fold_of, grow
from ponder.bench.traces import read_packed
from ponder.core.trace import Event

__all__ = ["Detail", "trace_section"]

_MOST_RUNS = 60  # of one page
_QUIET = ("done", "agreement")


@dataclass(frozen=True, kw_only=True)
class Detail:
    """The section, and where on the page the runs in it are.

    Attributes:
        section: None where no run has a trace.
        places: by the key of the run.
    """

    section: Section | None = None
    places: Mapping[str, str] = field(default_factory=dict)


def trace_section(runs: Runs, rows: Sequence[Row], *, most: int) -> Detail:
    """Return some runs of the largest point of each curve in detail.

    Args:
        runs: what was recorded.
        rows: of the runs, as the report names their curves.
        most: runs of a curve.

    Raises:
        BadInput: a file of traces cannot be read.
    """
    picked = _picked([row for row in rows if row.result], most) if runs.traces else {}
    traces: dict[str, list[Event]] = {}
    for file in runs.traces:
        traces |= read_packed(file, [key for key in picked if key not in traces])
    answers: dict[str, list[CandidateRow]] = {}
    for candidate in runs.candidates:
        if candidate.run in traces:
            answers.setdefault(candidate.run, []).append(candidate)
    folds, places = [], {}
    for key, (row, why) in picked.items():
        if key in traces:
            places[key] = f"run-{key}"
            prompt = runs.prompts.get(row.problem, "")
            folds.append(_detail(row, why, prompt, traces[key], answers.get(key, ()), places[key]))
    if not folds:
        return Detail()
    note = (
        "Of each curve's largest point: the dearest run, the dearest of the wrong ones, and one that ended early or"
        " lost an answer. The traces of all runs are in the folder."
    )
    return Detail(section=Section(title="Runs in detail", note=note, folds=tuple(folds)), places=places)


def _picked(rows: Sequence[Row], most: int) -> dict[str, tuple[Row, str]]:
    """Return the runs to show, by key, with what makes each of them worth it."""
    curves: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        curves.setdefault((row.family, row.curve), []).append(row)
    picked: dict[str, tuple[Row, str]] = {}
    for found in curves.values():
        largest = max(row.n for row in found)
        ranked = sorted((row for row in found if row.n == largest), key=_cost, reverse=True)
        reasons: list[tuple[Row, str]] = []
        for why, chosen in (
            ("dearest", ranked),
            ("wrong", [row for row in ranked if row.correct is False]),
            ("ended early", [row for row in ranked if row.stopped not in _QUIET]),
            ("lost an answer", [row for row in ranked if row.failed]),
            ("next in cost", ranked),
        ):
            for row in chosen:
                if all(row.run != other.run for other, _ in reasons):
                    reasons.append((row, why))
                    if why != "next in cost" or len(reasons) >= most:
                        break
        for row, why in reasons[:most]:
            if len(picked) < _MOST_RUNS:
                picked[row.run] = row, why
    return picked


def _cost(row: Row) -> tuple[float, int]:
    """Rank runs of one curve: by money or FLOPs where they are known, and by tokens."""
    return next((row.costs[unit] for unit in ("usd", "eflops", "flops") if unit in row.costs), 0.0), row.nominal.tokens


def _detail(
    row: Row, why: str, prompt: str, events: Sequence[Event], answers: Sequence[CandidateRow], place: str
) -> Fold:
    mark = {True: "✓", False: "✗", None: "–"}[row.correct]
    label = row.curve if row.n == 1 else f"{row.curve} @ {row.n}"
    tops = [fold_of(node) for node in grow(events).children]
    text = prompt
    if len(tops) == 1:  # the run itself
        text = "\n".join(filter(None, [prompt, "", tops[0].summary, tops[0].text]))
        tops = [*tops[0].folds]
    votes = _votes(answers)
    return Fold(
        summary=f"{label} · {mark} · {row.nominal.tokens:,} tokens · {why} · {row.stopped} · {short(prompt, 60)}",
        text=text.strip(),
        tables=() if votes is None else (votes,),
        folds=tuple(tops),
        place=place,
    )


def _votes(answers: Sequence[CandidateRow]) -> Table | None:
    """Return how many samples gave each answer, and what the verifiers gave them."""
    groups: dict[int, list[CandidateRow]] = {}
    for one in answers:
        if one.group is not None:
            groups.setdefault(one.group, []).append(one)
    if not groups:
        return None
    names = list(dict.fromkeys(name for one in answers for name in one.scores))
    body = []
    for found in sorted(groups.values(), key=len, reverse=True):
        sums = []
        for name in names:
            given = [score for one in found if (score := one.scores.get(name)) is not None]
            sums.append(f"{sum(given):.3g}" if given else "–")
        mark = {True: "✓", False: "✗", None: "–"}[found[0].correct]
        body.append(
            (
                short(found[0].answer or "–", 40),
                mark,
                str(len(found)),
                *sums,
                ", ".join(str(one.index) for one in found),
            )
        )
    unread = sum(one.group is None for one in answers)
    head = ("answer", "grade", "votes", *(f"sum of {name}" for name in names), "samples")
    title = f"Votes ({unread} without an answer)" if unread else "Votes"
    return Table(title=title, head=head, rows=tuple(body))
