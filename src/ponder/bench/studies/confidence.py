"""Stated confidence in recorded rows: what each answer stated, how long it took, and what that says of a model.

Source: Zeng et al. 2025, arXiv:2504.06564 (card 25): measures over attempted answers, accuracy over all; attempted and
not attempted questions of two models (table 3); bins of reasoning length.
Differs: rows keep no texts, so an answer that states a confidence and none that can be read as the task's type counts
as not attempted, and one without a confidence as malformed, whether or not its answer is right. Lengths are all tokens
of the policy, and are cut into bins of equal counts.
Cost: no model call. Needs: rows of runs whose verifier is a confidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ponder.bench.rows import Row
from ponder.core.errors import BadInput
from ponder.numerics.abstention import RiskPoint, area_under_risk, compare_attempts, coverage_at, risk_coverage
from ponder.numerics.calibration import Closed
from ponder.numerics.confidence import ConfidenceReport, confidence_report, rank_correlation
from ponder.numerics.intervals import Interval, wilson

__all__ = [
    "Compared",
    "Item",
    "Lengths",
    "Side",
    "SourceReport",
    "compare",
    "length_correlations",
    "lengths",
    "read_items",
    "report_source",
]


class Item(NamedTuple):
    """One answer.

    Attributes:
        problem: id of the task.
        source: who answered and how: curve and model.
        confidence: in [0, 1]; None where none can be read.
        right: the grade; None where nothing grades it, or there is no answer.
        attempted: whether there is an answer.
        tokens: completion tokens of the policy; None where a run has several answers.
    """

    problem: str
    source: str
    confidence: float | None
    right: bool | None
    attempted: bool
    tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class SourceReport:
    """What one source did.

    Attributes:
        source: its name.
        asked: answers.
        attempted: with an answer and a confidence; the measures are over these.
        declined: with a confidence and no answer.
        malformed: without a confidence that can be read.
        accuracy: right answers of all asked but the malformed, with its interval; None without any.
        measures: over attempted answers.
        risks: risk against coverage of all asked but the malformed.
        aurc: area under it; None without an answer.
        at_risk: the point of most coverage with at most a tenth of wrong answers; None where there is none.
    """

    source: str
    asked: int
    attempted: int
    declined: int
    malformed: int
    accuracy: Interval | None
    measures: ConfidenceReport
    risks: tuple[RiskPoint, ...]
    aurc: float | None
    at_risk: RiskPoint | None


class Lengths(NamedTuple):
    """Answers of like length.

    Attributes:
        low, high: fewest and most tokens.
        answers: how many.
        accuracy, confidence, ece: over them.
    """

    low: int
    high: int
    answers: int
    accuracy: float
    confidence: float
    ece: float


class Side(NamedTuple):
    """One source on some questions: accuracy over all of them and ECE over its attempts; None without any."""

    accuracy: float | None
    ece: float | None


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Two sources on the questions that both were asked.

    Attributes:
        first, second: names.
        shared, only: how many questions both attempted, and the second one alone.
        on_shared: both sources on the former.
        on_only: the second on the latter (the first has no answer there).
    """

    first: str
    second: str
    shared: int
    only: int
    on_shared: tuple[Side, Side]
    on_only: Side


def read_items(rows: Sequence[Row]) -> list[Item]:
    """Return the answers of rows with evidence; scores outside [0, 1] are no confidence, and refused.

    Raises:
        BadInput: a score is no confidence.
    """
    items = []
    for row in rows:
        kept = row.evidence
        if kept is None or not kept.scores or not row.verifier:
            continue
        used = row.usage.get("policy")
        tokens = used.completion_tokens if used is not None and len(kept.groups) == 1 else None
        for at, (group, score) in enumerate(zip(kept.groups, kept.scores, strict=True)):
            if score is not None and not 0 <= score <= 1:
                raise BadInput(f"the score {score:g} of verifier {row.verifier!r} is no confidence in [0, 1]")
            items.append(
                Item(
                    problem=row.problem,
                    source=f"{row.curve} · {row.model}" if row.model else row.curve,
                    confidence=score,
                    right=kept.grades[at] if kept.grades and group is not None else None,
                    attempted=group is not None,
                    tokens=tokens,
                )
            )
    return items


def report_source(items: Sequence[Item], source: str, *, bins: int = 10, closed: Closed = "right") -> SourceReport:
    """Return the report of one source's answers.

    Args:
        items: of all sources.
        source: which one.
        bins: of ECE, ACE and the diagram.
        closed: side of a bin that belongs to it.
    """
    own = [item for item in items if item.source == source]
    attempts = _attempts(own)
    well_formed = [item for item in own if item.confidence is not None]
    declined = [item for item in well_formed if not item.attempted]
    asked = len(attempts) + len(declined)
    stated, right = [c for c, _ in attempts], [good for _, good in attempts]
    points = risk_coverage(stated, right, questions=asked)
    return SourceReport(
        source=source,
        asked=len(own),
        attempted=len(attempts),
        declined=len(declined),
        malformed=len(own) - len(well_formed),
        accuracy=wilson(sum(right), asked) if asked else None,
        measures=confidence_report(stated, right, bins=bins, closed=closed),
        risks=tuple(points),
        aurc=area_under_risk(points),
        at_risk=coverage_at(points, 0.1),
    )


def lengths(items: Sequence[Item], *, parts: int = 4, closed: Closed = "right") -> list[Lengths]:
    """Return attempted answers by length, in parts of equal counts (equal lengths are not kept together)."""
    known = sorted(
        (item.tokens, item.confidence, item.right)
        for item in items
        if item.attempted and item.tokens is not None and item.confidence is not None and item.right is not None
    )
    parts = min(parts, len(known))
    found = []
    for at in range(parts):
        part = known[at * len(known) // parts : (at + 1) * len(known) // parts]
        report = confidence_report([c for _, c, _ in part], [good for _, _, good in part], closed=closed)
        found.append(
            Lengths(
                low=part[0][0],
                high=part[-1][0],
                answers=len(part),
                accuracy=report.accuracy or 0.0,
                confidence=report.confidence or 0.0,
                ece=report.ece or 0.0,
            )
        )
    return found


def length_correlations(items: Sequence[Item]) -> tuple[float | None, float | None]:
    """Return Spearman's correlation of length with confidence, and with being right, over attempted answers."""
    known = [
        (float(item.tokens), item.confidence, float(item.right))
        for item in items
        if item.attempted and item.tokens is not None and item.confidence is not None and item.right is not None
    ]
    tokens = [one for one, _, _ in known]
    return rank_correlation(tokens, [c for _, c, _ in known]), rank_correlation(tokens, [y for _, _, y in known])


def compare(items: Sequence[Item], first: str, second: str, *, closed: Closed = "right") -> Compared | None:
    """Return two sources on the questions that both have well-formed answers to (the first answer to each counts).

    None where they share no question.
    """
    sides = {name: _first_answers(items, name) for name in (first, second)}
    common = [problem for problem in sides[first] if problem in sides[second]]
    if not common:
        return None
    split = compare_attempts(
        {p: sides[first][p].attempted for p in common}, {p: sides[second][p].attempted for p in common}
    )

    def side(name: str, questions: Sequence[str]) -> Side:
        own = [sides[name][p] for p in questions]
        attempts = _attempts(own)
        graded = [item.right for item in own if item.right is not None]
        report = confidence_report([c for c, _ in attempts], [good for _, good in attempts], closed=closed)
        return Side(math.fsum(graded) / len(own) if own else None, report.ece)

    return Compared(
        first=first,
        second=second,
        shared=len(split.shared),
        only=len(split.only),
        on_shared=(side(first, split.shared), side(second, split.shared)),
        on_only=side(second, split.only),
    )


def _attempts(items: Sequence[Item]) -> list[tuple[float, bool]]:
    return [
        (item.confidence, item.right)
        for item in items
        if item.attempted and item.confidence is not None and item.right is not None
    ]


def _first_answers(items: Sequence[Item], source: str) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for item in items:
        if item.source == source and item.confidence is not None:
            found.setdefault(item.problem, item)
    return found
