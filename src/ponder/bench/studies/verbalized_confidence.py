"""Verbalised confidence: does a model know when it is right, and what would it pay to let it say "I don't know"?

Paper: Zeng et al. 2025, arXiv:2504.06564 (card 25). The measures are in `ponder.numerics.confidence` and `confidence`;
here is what is run and shown: each model states its confidence in each form on each problem.
Differs: risk against coverage and the Brier score are added; bins of lengths have equal counts.
Cost: one answer of each model for each form and problem, and one reflection more for "reflection". Needs: a model, or
recorded rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any, get_args

from ponder.bench.curve import Point
from ponder.bench.rows import Row
from ponder.bench.studies.confidence import (
    Compared,
    Item,
    Lengths,
    Side,
    SourceReport,
    compare,
    length_correlations,
    lengths,
    read_items,
    report_source,
)
from ponder.bench.studies.page import Picture, Section, Study, Table
from ponder.bench.studies.recording import Turn
from ponder.bench.studies.trend_plot import Scatter, draw_trends
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model
from ponder.numerics.calibration import Closed

__all__ = ["FORMS", "NAME", "confidence_turns", "verbalized_confidence"]

NAME = "verbalized-confidence"
FORMS = ("percent", "probability", "reflection")
_KNOWN = (*FORMS, "fill")  # ours, for models that do not keep the form

_HEAD = (
    "source",
    "asked",
    "attempted",
    "not attempted",
    "malformed",
    "accuracy of all",
    "accuracy",
    "confidence",
    "ECE",
    "ACE",
    "Brier",
    "AUROC",
    "AUPRC right (blind)",
    "AUPRC wrong (blind)",
    "AURC",
)
_ANSWERS = 8  # columns that are about the answers


def confidence_turns(
    models: Sequence[Model], forms: Sequence[str] = FORMS, *, reflection_tokens: int = 1024
) -> list[Turn]:
    """Return what is run: each model on each form.

    Args:
        models: with different names.
        forms: of `stated_confidence`.
        reflection_tokens: most tokens of a reflection.

    Raises:
        ConfigError: no such form, none at all, or models that could not be told apart.
    """
    if not forms or set(forms) - {*_KNOWN}:
        raise ConfigError(f"forms must be some of {', '.join(_KNOWN)}, got {', '.join(forms) or 'none'}")
    names = [model.name for model in models]
    if not names or len({*names}) < len(names):
        raise ConfigError("the study needs models with different names")
    points = tuple(
        Point(
            curve=form,
            method="stated_confidence",
            settings={"form": form, "reflection_tokens": reflection_tokens},
            verifier="verbalized_confidence",
        )
        for form in dict.fromkeys(forms)
    )
    return [Turn(model=model, points=points) for model in models]


def verbalized_confidence(
    rows: Sequence[Row],
    *,
    bins: int = 10,
    closed: Closed = "right",
    facts: Sequence[str] = (),
    warning: str = "",
) -> Study:
    """Return the study of these rows.

    Args:
        rows: of runs whose verifier gives a confidence in [0, 1], with their evidence and grades.
        bins: of ECE, ACE and the diagram, >= 1.
        closed: the side of a bin that belongs to it.
        facts: more on how the rows were made, for the page.
        warning: what a reader must not overlook.

    Raises:
        BadInput: the rows hold no confidence, or a score that is none.
        ConfigError: bins or closed out of range.
    """
    if bins < 1 or closed not in get_args(Closed):
        raise ConfigError(f"need bins >= 1 and closed right or left, got {bins!r} and {closed!r}")
    items = read_items(rows)
    if not items:
        raise BadInput("the rows hold no stated confidence: record them with the verifier verbalized_confidence")
    sources = list(dict.fromkeys(item.source for item in items))
    reports = [report_source(items, source, bins=bins, closed=closed) for source in sources]
    pairs = [
        found
        for first, second in combinations(sources, 2)
        if _form(first) == _form(second) and (found := compare(items, first, second, closed=closed)) is not None
    ]
    edges = "(low, high] with 0 in the first" if closed == "right" else "[low, high) with 1 in the last"
    return Study(
        name=NAME,
        title="Verbalized confidence",
        facts=(
            ", ".join(sorted({row.family for row in rows})),
            f"{len({item.problem for item in items})} problems",
            *facts,
        ),
        warning=warning,
        sections=(
            _calibration(reports, bins),
            _abstention(reports),
            *_length_sections(items, sources, closed),
            *([_compared(pairs)] if pairs else []),
        ),
        notes=(
            f"Bins: {bins} equal parts of [0, 1], {edges}; stated confidences are round, so the other rule gives other"
            " numbers. ACE: bins of equal counts, ties in the order of the answers.",
            "Calibration, AUROC and AUPRC are over attempted answers; accuracy of all counts what was not attempted as"
            " wrong. Not attempted: a confidence without an answer that can be read. Malformed: no confidence that can"
            " be read; left out everywhere.",
            "Blind: what a confidence that tells nothing would have. AURC: mean share of wrong answers as less and"
            " less sure answers are given; lower is better.",
            "A dash: not defined, for example AUROC where all answers are right or all are wrong.",
        ),
        data=_data(reports, pairs, items, sources, bins, closed),
    )


def _calibration(reports: Sequence[SourceReport], bins: int) -> Section:
    series = [Scatter(label="calibrated", line=((0.0, 0.0), (1.0, 1.0)))]
    for report in reports:
        points = tuple((b.confidence, b.accuracy, f"{b.answers} answers") for b in report.measures.bins)
        series.append(Scatter(label=report.source, points=points, line=tuple((x, y) for x, y, _ in points)))
    picture = Picture(
        svg=draw_trends(series, title="Reliability diagram", x="stated confidence", y="accuracy"),
        labels=tuple(one.label for one in series),
        caption=f"Reliability diagram, {bins} bins; below the straight line a model is too sure.",
    )
    lines = []
    for report in reports:
        m = report.measures
        if m.ece is None or m.accuracy is None or m.confidence is None:
            lines.append(f"{report.source}: no attempted answer with a confidence")
        else:
            way = "too sure" if m.confidence > m.accuracy else "not sure enough"
            lines.append(
                f"{report.source}: confidence {m.confidence:.0%}, accuracy {m.accuracy:.0%} of {m.answers} attempted:"
                f" {way} by {abs(m.confidence - m.accuracy):.0%}; ECE {m.ece:.3f}, AUROC {_number(m.auroc)}"
            )
    rows = tuple(_row(report) for report in reports)
    # Two tables, so that each fits the page.
    answers = Table(title="Answers", head=_HEAD[:_ANSWERS], rows=tuple(row[:_ANSWERS] for row in rows))
    measures = Table(
        title="Confidence",
        head=(_HEAD[0], *_HEAD[_ANSWERS:]),
        rows=tuple((row[0], *row[_ANSWERS:]) for row in rows),
    )
    return Section(title="Calibration", pictures=(picture,), lines=tuple(lines), tables=(answers, measures))


def _row(report: SourceReport) -> tuple[str, ...]:
    m, whole = report.measures, report.accuracy
    blind = None if m.accuracy is None else 1 - m.accuracy
    return (
        report.source,
        str(report.asked),
        str(report.attempted),
        str(report.declined),
        str(report.malformed),
        "–" if whole is None else f"{whole.value:.0%} [{100 * whole.low:.0f}, {100 * whole.high:.0f}]",
        _number(m.accuracy),
        _number(m.confidence),
        _number(m.ece),
        _number(m.ace),
        _number(m.brier),
        _number(m.auroc),
        f"{_number(m.auprc_right)} ({_number(m.accuracy)})",
        f"{_number(m.auprc_wrong)} ({_number(blind)})",
        _number(report.aurc),
    )


def _abstention(reports: Sequence[SourceReport]) -> Section:
    shown = [
        Scatter(
            label=report.source,
            points=tuple((p.coverage, p.risk, f"confidence {p.threshold:.0%} or more") for p in report.risks),
            line=tuple((p.coverage, p.risk) for p in report.risks),
        )
        for report in reports
        if report.risks
    ]
    lines = []
    for report in reports:
        point = report.at_risk
        if point is None:
            lines.append(f"{report.source}: no threshold leaves at most 10% of the answers wrong")
        else:
            lines.append(
                f"{report.source}: saying nothing below {point.threshold:.0%} answers {point.coverage:.0%} of the"
                f" questions with {point.risk:.0%} wrong"
            )
    pictures: tuple[Picture, ...] = ()
    if shown:
        pictures = (
            Picture(
                svg=draw_trends(shown, title="Risk against coverage", x="questions answered", y="wrong"),
                labels=tuple(one.label for one in shown),
                caption="Share of wrong answers as the least sure ones are withheld.",
            ),
        )
    return Section(
        title="Saying nothing",
        note="The thresholds are chosen on the very answers that they are measured on: on new questions they do worse.",
        pictures=pictures,
        lines=tuple(lines),
    )


def _length_sections(items: Sequence[Item], sources: Sequence[str], closed: Closed) -> list[Section]:
    rows, lines = [], []
    for source in sources:
        own = [item for item in items if item.source == source]
        rows += [_length_row(source, part) for part in lengths(own, closed=closed)]
        stated, right = length_correlations(own)
        if stated is not None or right is not None:
            lines.append(
                f"{source}: rank correlation of length with confidence {_number(stated)}, with being right"
                f" {_number(right)}"
            )
    if not rows:
        return []
    head = ("source", "tokens", "answers", "accuracy", "confidence", "ECE")
    return [Section(title="Length of the answer", lines=tuple(lines), tables=(Table(head=head, rows=tuple(rows)),))]


def _length_row(source: str, part: Lengths) -> tuple[str, ...]:
    low, high, answers, accuracy, confidence, ece = part
    return (source, f"{low:,} to {high:,}", str(answers), _number(accuracy), _number(confidence), _number(ece))


def _compared(pairs: Sequence[Compared]) -> Section:
    rows = []
    for pair in pairs:
        for name, side, count in (
            (f"{pair.first}, both attempted", pair.on_shared[0], pair.shared),
            (f"{pair.second}, both attempted", pair.on_shared[1], pair.shared),
            (f"{pair.second}, attempted alone", pair.on_only, pair.only),
        ):
            rows.append((name, str(count), *_side(side)))
    return Section(
        title="Who attempts what",
        note="Two models in the same form: questions that both attempted, and those that the second attempted alone.",
        tables=(Table(head=("source", "questions", "accuracy", "ECE"), rows=tuple(rows)),),
    )


def _form(source: str) -> str:
    return source.partition(" · ")[0]


def _side(side: Side) -> tuple[str, str]:
    return _number(side.accuracy), _number(side.ece)


def _data(
    reports: Sequence[SourceReport],
    pairs: Sequence[Compared],
    items: Sequence[Item],
    sources: Sequence[str],
    bins: int,
    closed: str,
) -> dict[str, Any]:
    def plain(report: SourceReport) -> dict[str, Any]:
        found = asdict(report)
        found["accuracy"] = None if report.accuracy is None else report.accuracy._asdict()
        found["risks"] = [point._asdict() for point in report.risks]
        found["at_risk"] = None if report.at_risk is None else report.at_risk._asdict()
        found["measures"]["bins"] = [part._asdict() for part in report.measures.bins]
        return found

    by_length = {
        source: [part._asdict() for part in lengths([item for item in items if item.source == source])]
        for source in sources
    }
    return {
        "bins": bins,
        "closed": closed,
        "sources": [plain(report) for report in reports],
        "lengths": by_length,
        "compared": [asdict(pair) for pair in pairs],
    }


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
