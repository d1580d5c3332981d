"""The report's last part: every prompt with what each point chose, and the answers of the run that drew the most.

Source: our own. Cost: no model call. Needs: recorded rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ponder.bench.recorded_runs import Runs
from ponder.bench.rows import CandidateRow, Row
from ponder.bench.studies.page import Fold, Section, Table

__all__ = ["prompt_section", "short"]

_MOST_PROMPTS = 100  # unfolded on the page; all rows stay in the files


def prompt_section(runs: Runs, rows: Sequence[Row], shown: Mapping[str, str]) -> Section:
    """Return every prompt to unfold, up to a number of them.

    Args:
        runs: what was recorded.
        rows: of the runs, as the report names their curves.
        shown: place on the page of the runs that are shown in detail, by key.
    """
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
        text = runs.prompts.get(problem, "")
        folds.append(
            Fold(
                summary=f"{short(text) or problem}  ({right} of {graded} points right)",
                text=text,
                tables=tuple(tables),
                links=tuple((f"trace of {_place(row)}", shown[row.run]) for row in own if row.run in shown),
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
                short(said),
            )
        )
    head = ("#", "answer", "grade", *names, "certainty", "tokens", "finish", "text")
    return Table(title=f"Answers of {_place(row)}", head=head, rows=tuple(body))


def _place(row: Row) -> str:
    return row.curve if row.n == 1 else f"{row.curve} @ {row.n}"


def short(text: str, length: int = 90) -> str:
    """Return a text as one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"
