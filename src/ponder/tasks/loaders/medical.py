"""Medical multiple choice: MedQA, MedMCQA and PubMedQA in their published shapes, graded as card 07 grades them.

Source: the data sets' published files and their copies on the Hugging Face hub (Huang et al. 2025, arXiv:2504.00869,
card 07, evaluates on them; its own evaluation file has the shape of MedQA).
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ponder.tasks.loaders.rows import SourceRow
from ponder.tasks.medical_choice import choice_problem
from ponder.tasks.problem import Problem

__all__ = ["medmcqa", "medqa", "pubmedqa"]

_MOST = 10  # letters that the answer type reads


def medqa(row: SourceRow) -> Problem:
    """`question`, `options` ({"A": text, ...}), `answer_idx` (a letter), maybe `id`."""
    given = row.get("options")
    if not isinstance(given, Mapping):
        raise row.fault("options", f"needs options by letter, got {given!r:.80}")
    letter = row.text("answer_idx").strip().upper()
    letters = [str(name).strip().upper() for name in given]
    return _problem(
        row, "medqa", row.text("question"), [str(text) for text in given.values()], letters, letter, "answer_idx"
    )


def medmcqa(row: SourceRow) -> Problem:
    """`question`, `opa` to `opd`, `cop` (0 to 3, or a to d), `id`."""
    options = [row.text(f"op{letter}") for letter in "abcd"]
    given = row.text("cop").strip().lower()
    letter = given.upper() if given in ("a", "b", "c", "d") else "ABCD"[int(given)] if given in "0123" else given
    return _problem(row, "medmcqa", row.text("question"), options, list("ABCD"), letter, "cop")


def pubmedqa(row: SourceRow) -> Problem:
    """`question`, `context` (text, or {"contexts": [...]}), `final_decision` (yes, no or maybe), maybe `pubid`."""
    context = row.values.get("context", "")
    if isinstance(context, Mapping):
        context = "\n".join(map(str, context.get("contexts", ())))
    options = ["yes", "no", "maybe"]
    question = "\n\n".join(filter(None, (str(context).strip(), row.text("question").strip())))
    decision = row.text("final_decision").strip().lower()
    letter = dict(zip(options, "ABC", strict=True)).get(decision, decision)
    return _problem(row, "pubmedqa", question, options, list("ABC"), letter, "final_decision")


def _problem(
    row: SourceRow, family: str, question: str, options: Sequence[str], letters: Sequence[str], right: str, column: str
) -> Problem:
    if not 2 <= len(options) <= _MOST:
        raise row.fault("options", f"needs 2 to {_MOST} options, got {len(options)}")
    if right not in letters:
        raise row.fault(column, f"names none of the {len(options)} options: {row.values[column]!r:.80}")
    identity = str(row.values.get("id") or row.values.get("pubid") or "")
    return choice_problem(question, options, letters.index(right), identity=identity, family=family)
